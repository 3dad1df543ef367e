import type { Page } from '../platform/page.ts';

/** MLflow's own limit for a search. */
const MAX_RESULTS = 50_000;
/** Searches for several parents; one is enough for most pages, two where a parent with many items crowds out the others. */
const MAX_ROUNDS = 3;

/**
 * Up to `limit` items of each parent, in the order of `parents`. One search has room for `limit` items of every parent;
 * when it is full, those parents that have fewer are searched again without the others, at last each alone.
 * @param search items of any of the parents, in the order that the items of each shall have
 */
export async function firstOfEach<T>(
  parents: readonly string[],
  limit: number,
  parentOf: (item: T) => string,
  search: (parents: readonly string[], maxResults: number) => Promise<Page<T>>,
): Promise<T[][]> {
  const found = new Map<string, T[]>();
  let wanted = [...new Set(parents)];
  for (let round = 0; round < MAX_ROUNDS && wanted.length > 0; round += 1) {
    const { items, nextPageToken } = await search(wanted, Math.min(wanted.length * limit, MAX_RESULTS));
    const groups = Map.groupBy(items, parentOf);
    for (const parent of wanted) found.set(parent, groups.get(parent) ?? []);
    wanted = nextPageToken === null ? [] : wanted.filter((parent) => (groups.get(parent)?.length ?? 0) < limit);
  }
  await Promise.all(wanted.map(async (parent) => found.set(parent, (await search([parent], limit)).items)));
  return parents.map((parent) => (found.get(parent) ?? []).slice(0, limit));
}
