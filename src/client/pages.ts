/** A part of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** Given as `after`, with the same options, begins the next page; null when this is the last. */
  readonly endCursor: string | null;
  /** Given as `before`, with the same options, ends the page before; null when this is the first, or empty. */
  readonly startCursor: string | null;
}

/** A connection of the API as a page. */
export function pageOf<Item>(connection: {
  readonly edges: readonly { readonly node: Item }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}): Page<Item> {
  const { edges, pageInfo } = connection;
  return {
    items: edges.map(({ node }) => node),
    endCursor: pageInfo.hasNextPage ? pageInfo.endCursor : null,
    startCursor: pageInfo.hasPreviousPage ? pageInfo.startCursor : null,
  };
}

/** The most that the API gives at once: whoever wants all items asks seldom. */
const MAX_PAGE_SIZE = 100;

/** The items of a list from `after` on, read page by page; the next page is asked for when the one before has been iterated. */
export async function* allItems<Item, Options extends { readonly first?: number; readonly after?: string }>(
  read: (options: Options) => Promise<Page<Item>>,
  options: Options,
): AsyncGenerator<Item, void> {
  let after = options.after ?? null;
  do {
    const { items, endCursor } = await read({
      first: MAX_PAGE_SIZE,
      ...options,
      ...(after === null ? {} : { after }),
    });
    yield* items;
    after = endCursor;
  } while (after !== null);
}
