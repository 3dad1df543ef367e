import { dataloaderGetter } from '@pothos/plugin-dataloader';
import type { Context } from './context.ts';

/** The beginning of one parent's list: up to `first` items, and one more if there are more. */
type FirstPage<Node, Options> = (context: Context, parent: string, first: number, options: Options) => Promise<Node[]>;

interface Key<Options> {
  readonly parent: string;
  readonly first: number;
  readonly options: Options;
}

/**
 * A loader of the first pages of many parents' lists, which reads those that are asked for at once, with the same options,
 * together.
 * @param read up to `limit` items from the start of each parent's list, in the order of `parents`
 */
export function firstPages<Node, Options>(
  read: (parents: readonly string[], limit: number, options: Options, context: Context) => Promise<Node[][]>,
): FirstPage<Node, Options> {
  const loaderOf = dataloaderGetter<Key<Options>, Node[], string>(
    { cacheKeyFn: ({ parent, first, options }) => JSON.stringify([parent, first, options]) },
    async (keys, context) => {
      const groups = Map.groupBy(keys, ({ options }) => JSON.stringify(options));
      const found = new Map<Key<Options>, Node[]>();
      await Promise.all(
        [...groups.values()].map(async (group) => {
          const [{ options } = { options: undefined as never }] = group; // a group has a key
          const limit = Math.max(...group.map(({ first }) => first)) + 1;
          const parents = group.map(({ parent }) => parent);
          const lists = await read(parents, limit, options, context as Context); // the getter does not know our context
          for (const [index, key] of group.entries()) found.set(key, (lists[index] ?? []).slice(0, key.first + 1));
        }),
      );
      return keys.map((key) => found.get(key) ?? []);
    },
    undefined,
    undefined,
  );
  return (context, parent, first, options) => loaderOf(context).load({ parent, first, options });
}
