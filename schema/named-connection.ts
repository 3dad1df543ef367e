import { z } from 'zod';
import type { NamedPage, NamedPageQuery } from '../src/features/named-page.ts';
import { type Connection, connectionOf, type ForwardArgs, pageSize } from './connection.ts';
import { cursorsOf } from './cursor.ts';
import { checkSearch } from './types/search.ts';

const place = z.string().max(255);

/**
 * A page of a list that is sorted by name, and how many it has in all. Its cursors hold names, so that reading on neither
 * repeats nor skips anything while others are added.
 * @param identity tells the list from others
 */
export async function namedConnection<Node extends { readonly name: string }>(
  identity: string,
  args: ForwardArgs & { readonly search?: string | null | undefined },
  list: (query: NamedPageQuery) => Promise<NamedPage<Node>>,
): Promise<Connection<Node> & { readonly totalCount: number }> {
  const first = pageSize(args.first);
  const search = checkSearch(args.search) ?? null;
  const cursors = cursorsOf([identity, search], place);
  const after = cursors.decode(args.after, 'after') ?? null;
  const { items, total } = await list({ first: first + 1, after, search });
  const edges = items.slice(0, first).map((node) => ({ cursor: cursors.encode(node.name), node }));
  return { ...connectionOf(edges, items.length > first, after !== null), totalCount: total };
}
