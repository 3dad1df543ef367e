import { dataloaderGetter } from '@pothos/plugin-dataloader';
import type { Context } from './context.ts';

/** The beginning of one parent's list: up to `first` items, and one more if there are more. */
type FirstPage<Node> = (context: Context, parent: string, first: number) => Promise<Node[]>;

/**
 * A loader of the first pages of many parents' lists, which reads those that are asked for at once together.
 * @param read up to `limit` items from the start of each parent's list, in the order of `parents`
 */
export function firstPages<Node>(
  read: (parents: readonly string[], limit: number, context: Context) => Promise<Node[][]>,
): FirstPage<Node> {
  const loaderOf = dataloaderGetter<{ parent: string; first: number }, Node[], string>(
    { cacheKeyFn: ({ parent, first }) => `${first}/${parent}` },
    async (keys, context) => {
      const limit = Math.max(...keys.map(({ first }) => first)) + 1;
      const parents = keys.map(({ parent }) => parent);
      const lists = await read(parents, limit, context as Context); // the plugin's getter does not know our context's type
      return keys.map(({ first }, index) => (lists[index] ?? []).slice(0, first + 1));
    },
    undefined,
    undefined,
  );
  return (context, parent, first) => loaderOf(context).load({ parent, first });
}
