import type { Page } from '../platform/page.ts';

/** MLflow's own limit for a search. */
const MAX_RESULTS = 50_000;

/**
 * Up to `limit` items of each parent, in the order of `parents`: one search for all of them, and one more for each parent
 * whose items come so late in that order that the others left no room for them.
 * @param search items of any of the parents, in the order that the items of each shall have
 */
export async function firstOfEach<T>(
  parents: readonly string[],
  limit: number,
  parentOf: (item: T) => string,
  search: (parents: readonly string[], maxResults: number) => Promise<Page<T>>,
): Promise<T[][]> {
  const distinct = [...new Set(parents)];
  const { items, nextPageToken } = await search(distinct, Math.min(distinct.length * limit, MAX_RESULTS));
  const found = Map.groupBy(items, parentOf);
  const isShort = (parent: string) => nextPageToken !== null && (found.get(parent)?.length ?? 0) < limit;
  await Promise.all(
    distinct.filter(isShort).map(async (parent) => found.set(parent, (await search([parent], limit)).items)),
  );
  return parents.map((parent) => (found.get(parent) ?? []).slice(0, limit));
}
