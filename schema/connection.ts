import { listPlace, type MlflowList, placesOf, readList } from '../src/mlflow/list.ts';
import { invalidInput } from '../src/platform/errors.ts';
import { builder, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from './builder.ts';
import { cursorsOf } from './cursor.ts';

/** A connection of `Node`s as the relay plugin's connection objects take it. */
export interface Connection<Node> {
  edges: { cursor: string; node: Node }[];
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
}

/** The arguments of a connection that only goes forward. */
export const forwardArgs = builder.args((t) => ({
  first: t.int({ defaultValue: DEFAULT_PAGE_SIZE, description: `How many items, 1 to ${MAX_PAGE_SIZE}.` }),
  after: t.string({ description: 'Only what follows this cursor of the same list, with the same filter and order.' }),
}));

export interface ForwardArgs {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
}

/**
 * A part of a list of MLflow's as a connection.
 * @param readFirst reads its beginning, when the list itself shall not: up to `first` items, and one more if there are more
 * @throws AsgardError INVALID_INPUT when `first` is out of its range or `after` is no cursor of the list
 */
export async function listConnection<Node>(
  list: MlflowList<Node>,
  args: ForwardArgs,
  readFirst?: (first: number) => Promise<Node[]>,
): Promise<Connection<Node>> {
  const first = pageSize(args.first);
  const cursors = cursorsOf(list.identity, listPlace);
  const after = cursors.decode(args.after, 'after');
  if (after === undefined && readFirst !== undefined) {
    const items = await readFirst(first);
    const edges = placesOf(list, items.slice(0, first)).map(({ item, place }) => ({
      cursor: cursors.encode(place),
      node: item,
    }));
    return connectionOf(edges, items.length > first, false);
  }
  const { items, hasNext, hasPrevious } = await readList(list, first, after);
  const edges = items.map(({ item, place }) => ({ cursor: cursors.encode(place), node: item }));
  return connectionOf(edges, hasNext, hasPrevious);
}

/** A connection of edges that have their cursors. */
export function connectionOf<Node>(
  edges: { cursor: string; node: Node }[],
  hasNextPage: boolean,
  hasPreviousPage: boolean,
): Connection<Node> {
  return {
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

/**
 * How many items a page has: what was asked for, else 20.
 * @param name of the argument
 * @throws AsgardError INVALID_INPUT, naming the argument, when that is not 1 to `maxSize`
 */
export function pageSize(asked: number | null | undefined, name = 'first', maxSize = MAX_PAGE_SIZE): number {
  const size = asked ?? DEFAULT_PAGE_SIZE;
  if (size < 1 || size > maxSize) throw invalidInput([name], `"${name}" must be 1 to ${maxSize}, it is ${size}`);
  return size;
}
