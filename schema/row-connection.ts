import { type Connection, connectionOf, type ForwardArgs, pageSize } from './connection.ts';

/**
 * A page of the objects that some rows name, without those that are gone: there may be fewer than `first`, also none,
 * before a next page. `rows` holds one more than the page if there is one.
 */
export async function rowConnection<Row, Node>(
  args: ForwardArgs,
  rows: readonly Row[],
  cursorOf: (row: Row) => string,
  load: (row: Row) => Promise<Node>,
): Promise<Connection<Node & {}>> {
  const first = pageSize(args.first);
  const page = rows.slice(0, first);
  const nodes = await Promise.all(page.map(load));
  const edges = page.flatMap((row, index) => {
    const node = nodes[index];
    return node == null ? [] : [{ cursor: cursorOf(row), node }];
  });
  const { pageInfo } = connectionOf(edges, rows.length > first, args.after != null);
  const [head, tail] = [page.at(0), page.at(-1)];
  if (head === undefined || tail === undefined) return { edges, pageInfo };
  // Of the rows, so that reading goes on behind objects that are gone.
  return { edges, pageInfo: { ...pageInfo, startCursor: cursorOf(head), endCursor: cursorOf(tail) } };
}
