import { z } from 'zod';
import type { Page } from '../platform/page.ts';

/** So much nearer to the start the rest of a list is sought: as many items as may go between two reads at no cost. */
const SLACK = 5;
/** How many neighbours a place remembers, in case that its own item goes. */
const MAX_IDS = 3;
const SCAN_PAGE = 500;
/** Whoever does not find a place among 10,000 items stops rather than go on for ever. */
const MAX_PAGES = 20;

/** A list of MLflow's in one order, as `readList` reads it. */
export interface MlflowList<T> {
  /** What tells it from every other list. */
  readonly identity: readonly unknown[];
  /** Its items from `pageToken` on. `from` is a filter to add. */
  search(request: { maxResults: number; pageToken?: string; from?: string }): Promise<Page<T>>;
  idOf(item: T): string;
  /** Of a list that can be asked for what follows a value. */
  readonly keyset?: Keyset<T> | undefined;
}

/** How the rest of a list is asked for by the value that the list is ordered by. */
export interface Keyset<T> {
  /** That value of an item; null where it can be no filter. */
  keyOf(item: T): number | null;
  /** The filter of the items that have this key or follow it. */
  filterFrom(key: number): string;
  /** Whether an item follows what has this key and id. */
  isAfter(item: T, key: number, id: string): boolean;
}

/** Where an item is, so that reading can go on behind it whatever was added or went in the meantime. A cursor holds one. */
export const listPlace = z.object({
  /** How many items preceded it when it was read. */
  offset: z.int().min(0).max(1_000_000_000),
  /** Its id and those of the items right before it, the nearest first. Names of models and experiments have at most 500 characters. */
  ids: z.array(z.string().max(600)).min(1).max(MAX_IDS).readonly(),
  key: z.int().nullable(),
});

export type ListPlace = z.infer<typeof listPlace>;

export interface ListPart<T> {
  readonly items: readonly { readonly item: T; readonly place: ListPlace }[];
  readonly hasNext: boolean;
  /** Whether the list holds items before these. */
  readonly hasPrevious: boolean;
}

/** Items of a list, one behind the other, with their places. `before` is the place right before the first of them. */
export function placesOf<T>(list: MlflowList<T>, items: readonly T[], before?: ListPlace): ListPart<T>['items'] {
  let ids = before?.ids ?? [];
  const offset = before === undefined ? 0 : before.offset + 1;
  return items.map((item, index) => {
    ids = [list.idOf(item), ...ids].slice(0, MAX_IDS);
    return { item, place: { offset: offset + index, ids, key: list.keyset?.keyOf(item) ?? null } };
  });
}

/**
 * Up to `first` items behind a place, or from the start.
 *
 * MLflow's page tokens are offsets: what is added before the place between two reads would be read as a repetition, what
 * goes would leave a hole. So the place is found anew: in a list that can be asked for what follows a value, by that; in any
 * other by its item, near where it was, then anywhere. Of an item that is gone the one before it tells the place.
 */
export async function readList<T>(list: MlflowList<T>, first: number, after?: ListPlace): Promise<ListPart<T>> {
  if (after === undefined) {
    const { items, nextPageToken } = await list.search({ maxResults: first });
    return { items: placesOf(list, items), hasNext: nextPageToken !== null, hasPrevious: false };
  }
  const rest =
    list.keyset === undefined || after.key === null
      ? await restByItem(list, first, after)
      : await restByKey(list, list.keyset, first, { ...after, key: after.key });
  const { items, hasNext, hasPrevious } = rest;
  return { items: placesOf(list, items, after), hasNext, hasPrevious };
}

interface Rest<T> {
  readonly items: T[];
  readonly hasNext: boolean;
  readonly hasPrevious: boolean;
}

async function restByKey<T>(
  list: MlflowList<T>,
  { filterFrom, isAfter }: Keyset<T>,
  first: number,
  { ids: [id = ''], key }: ListPlace & { readonly key: number },
): Promise<Rest<T>> {
  const from = filterFrom(key);
  const rest = await restFrom(list, first, { from }, (items) => {
    const place = items.findIndex((item) => list.idOf(item) === id);
    return place >= 0 ? place + 1 : items.findIndex((item) => isAfter(item, key, id));
  });
  if (rest?.hasPrevious === true) return rest;
  // The item is gone: nothing shows yet whether anything is left of what preceded it.
  const { items } = await list.search({ maxResults: 1 });
  const hasPrevious = items.some((item) => !isAfter(item, key, id));
  return { items: rest?.items ?? [], hasNext: rest?.hasNext ?? false, hasPrevious };
}

async function restByItem<T>(list: MlflowList<T>, first: number, { offset, ids }: ListPlace): Promise<Rest<T>> {
  const [id = '', ...neighbours] = ids;
  const near = Math.max(0, offset - SLACK);
  const up = Math.max(0, offset + 1 - ids.length);
  const behind = (wanted: readonly string[]) => (items: readonly T[]) => {
    const found = items.map((item) => list.idOf(item));
    const [place = -1] = wanted.map((each) => found.indexOf(each)).filter((index) => index >= 0);
    return place < 0 ? -1 : place + 1;
  };
  return (
    (await restFrom(list, first, { offset: near }, behind([id]))) ??
    (near === 0 ? undefined : await restFrom(list, first, {}, behind([id]))) ??
    (await restFrom(list, first, { offset: near }, behind(neighbours))) ??
    // Neither it nor its neighbours are left: what followed them has moved up by as many.
    (await restFrom(list, first, { offset: up }, () => 0)) ?? { items: [], hasNext: false, hasPrevious: up > 0 }
  );
}

/**
 * The rest of a list, read from an offset on or under a filter.
 * @param begin where in some items it begins, -1 when it does not there
 * @returns undefined when it begins nowhere
 */
async function restFrom<T>(
  list: MlflowList<T>,
  first: number,
  { offset = 0, from }: { readonly offset?: number; readonly from?: string },
  begin: (items: readonly T[]) => number,
): Promise<Rest<T> | undefined> {
  let request: Parameters<typeof list.search>[0] = {
    maxResults: first + SLACK + 1,
    ...(offset === 0 ? {} : { pageToken: tokenOf(offset) }),
    ...(from === undefined ? {} : { from }),
  };
  let passed = offset;
  // By their ids: what is added between two pages pushes items of the first into the second.
  let rest: Map<string, T> | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { items, nextPageToken } = await list.search(request);
    const beginning = rest === undefined ? begin(items) : 0;
    if (beginning >= 0) {
      rest ??= new Map();
      if (rest.size === 0) passed += beginning;
      for (const item of items.slice(beginning)) rest.set(list.idOf(item), item);
      if (rest.size > first || nextPageToken === null) {
        return { items: [...rest.values()].slice(0, first), hasNext: rest.size > first, hasPrevious: passed > 0 };
      }
    } else {
      passed += items.length;
    }
    if (nextPageToken === null) return undefined;
    request = { ...request, maxResults: SCAN_PAGE, pageToken: nextPageToken };
  }
  return undefined;
}

/** MLflow's own page token of an offset, to the letter; a test compares. */
function tokenOf(offset: number): string {
  return Buffer.from(`{"offset": ${offset}}`).toString('base64');
}
