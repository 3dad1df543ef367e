import type { ExecutionResult } from 'graphql';

/**
 * What a query or mutation comes to, as graphql-ws takes a subscription: it tells the iterator, and nobody else, that the client
 * has left or completed the operation. Nothing comes out any more once it has.
 * @param result must not reject
 * @param departure is aborted at that moment, for whatever waits for the client's sake
 */
export function leavableResult(
  result: Promise<ExecutionResult>,
  departure: AbortController,
): AsyncIterableIterator<ExecutionResult> {
  let isGiven = false;
  const end = async (): Promise<IteratorReturnResult<undefined>> => {
    departure.abort();
    return { done: true, value: undefined };
  };
  return {
    next: async () => {
      if (isGiven) return { done: true, value: undefined };
      isGiven = true;
      const value = await result;
      return departure.signal.aborted ? { done: true, value: undefined } : { done: false, value };
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
