import { expect } from 'vitest';
import { post } from './graphql-for-tests.ts';

/** A connection as a test asks for it: with cursors, nodes and all of `pageInfo`. */
export interface Connection<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string; endCursor: string };
}

const EDGES = (node: string) =>
  `edges { cursor node { ${node} } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }`;

/**
 * One page of a connection.
 * @param field the query around it, e.g. `experiment(id: 1) { runs(ARGS) }`: `ARGS` is where the arguments go
 */
export async function page<Node>(
  url: string,
  field: string,
  node: string,
  args: string,
  after: string | null = null,
): Promise<Connection<Node>> {
  const query = `query ($after: String) { ${field.replace('(ARGS)', `(after: $after, ${args}) { ${EDGES(node)} }`)} }`;
  const { body } = await post(url, query, { after });
  expect(body.errors).toBeUndefined();
  let found = body.data;
  while (found.edges === undefined) found = Object.values(found)[0];
  return found;
}

/**
 * All nodes of a connection, page by page from its start. What `pageInfo` says is checked on the way.
 * @param between runs before every page but the first
 */
export async function allPages<Node>(
  url: string,
  { field, node, args = '', first = 2 }: { field: string; node: string; args?: string; first?: number },
  between: () => Promise<unknown> = async () => {},
): Promise<Node[]> {
  const found: Node[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < 50; pages += 1) {
    if (after !== null) await between();
    const { edges, pageInfo }: Connection<Node> = await page<Node>(url, field, node, `first: ${first} ${args}`, after);
    found.push(...edges.map((edge) => edge.node));
    expect(pageInfo.hasPreviousPage).toBe(after !== null);
    expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([
      edges.at(0)?.cursor ?? null,
      edges.at(-1)?.cursor ?? null,
    ]);
    if (!pageInfo.hasNextPage) return found;
    expect(edges).toHaveLength(first);
    after = pageInfo.endCursor;
  }
  throw new Error('the pages have no end');
}
