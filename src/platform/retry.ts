import { setTimeout as delay } from 'node:timers/promises';

export interface RetryOptions {
  /** Whether trying again may help. */
  readonly isPassing: (error: unknown) => boolean;
  readonly tries: number;
  readonly pauseMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Calls until a call succeeds. @throws what the last call threw, or the signal's reason */
export async function retry<T>(
  call: () => Promise<T>,
  { isPassing, tries, pauseMs, signal }: RetryOptions,
): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    signal?.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (tried >= tries || !isPassing(error)) throw error;
      await delay(pauseMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}
