import { z } from 'zod';
import { AsgardError, invalidInput } from '../src/platform/errors.ts';
import type { Page } from '../src/platform/page.ts';
import { builder, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from './builder.ts';

/** The place of an item in a list that is read by page tokens: in the page behind `token`, after its first `skip`. */
const place = z.object({ token: z.string().nullable(), skip: z.int().min(0).max(1000) });
type Place = z.infer<typeof place>;

/** A connection of `Node`s as the relay plugin's connection objects take it. */
export interface Connection<Node> {
  edges: { cursor: string; node: Node }[];
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
}

/** The arguments of a connection that only goes forward, as a list behind page tokens does. */
export const forwardArgs = builder.args((t) => ({
  first: t.int({ defaultValue: DEFAULT_PAGE_SIZE, description: `How many items, 1 to ${MAX_PAGE_SIZE}.` }),
  after: t.string({ description: 'Only what follows this cursor.' }),
}));

export interface ForwardArgs {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
}

/**
 * Reads one page of an upstream list as a connection. A cursor wraps the token of the page that the item came in and
 * how many items precede it there, so that reading can go on after any item, not only after the last of a page.
 * @param readFirst reads the page without a cursor, if not `read` shall: up to `first` items, and one more if there are more
 * @throws AsgardError INVALID_INPUT when `first` is out of its range or `after` is no cursor of ours
 */
export async function pageConnection<Node>(
  args: ForwardArgs,
  read: (page: { first: number; after?: string }) => Promise<Page<Node>>,
  readFirst?: (first: number) => Promise<Node[]>,
): Promise<Connection<Node>> {
  const first = pageSize(args.first);
  if (args.after == null && readFirst !== undefined) {
    const items = await readFirst(first);
    const shown = items.slice(0, first);
    const edges = shown.map((node, index) => ({ cursor: encode({ token: null, skip: index + 1 }), node }));
    return connectionOf(edges, items.length > first, false);
  }
  const { token, skip } = args.after == null ? { token: null, skip: 0 } : decode(args.after);
  const page = await read({ first: first + skip, ...(token === null ? {} : { after: token }) });
  const edges = page.items.slice(skip, skip + first).map((node, index, shown) => {
    const isLast = index === shown.length - 1 && page.nextPageToken !== null;
    const next: Place = isLast ? { token: page.nextPageToken, skip: 0 } : { token, skip: skip + index + 1 };
    return { cursor: encode(next), node };
  });
  return connectionOf(edges, page.nextPageToken !== null, args.after != null);
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

/** The error for a value of the argument `name` that no cursor of the list is. */
export function invalidCursor(cursor: string, name = 'after', cause?: unknown): AsgardError {
  return new AsgardError('INVALID_INPUT', `"${name}" is no cursor of this list: ${cursor.slice(0, 100)}`, {
    cause,
    issues: [{ path: [name], message: 'is no cursor of this list', type: 'value_error' }],
  });
}

function encode(value: Place): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(cursor: string): Place {
  try {
    return place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (cause) {
    throw invalidCursor(cursor, 'after', cause);
  }
}
