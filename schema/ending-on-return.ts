/**
 * An iterator over what `start` gives, whose `return` aborts the signal that `start` was handed. An async generator
 * that waits in `next` takes notice of `return` only when that wait is over, which for a quiet job is never: a client
 * that goes away would leave it behind.
 *
 * @param outer ends the iteration as well, when it aborts
 */
export function endingOnReturn<T>(
  start: (signal: AbortSignal) => AsyncIterable<T>,
  outer?: AbortSignal,
): AsyncIterableIterator<T> {
  const controller = new AbortController();
  const signal = outer === undefined ? controller.signal : AbortSignal.any([controller.signal, outer]);
  const iterator = start(signal)[Symbol.asyncIterator]();
  const end = async (): Promise<IteratorResult<T>> => {
    controller.abort();
    // Runs the source's own clean-up; a source that ends by throwing the abort has done it.
    await iterator.return?.().catch(ignoreAfterEnd);
    return { done: true, value: undefined };
  };
  return {
    next: async () => {
      try {
        return await iterator.next();
      } catch (error) {
        if (signal.aborted) return { done: true, value: undefined };
        throw error;
      }
    },
    return: end,
    throw: async (error) => {
      await end();
      throw error;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function ignoreAfterEnd(): void {}
