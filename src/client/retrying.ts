import { setTimeout as delay } from 'node:timers/promises';
import { AsgardRequestError } from './errors.ts';

/** When neither the platform said how long to wait, nor it could be reached. */
const DEFAULT_WAIT_SECONDS = 1;
const MAX_WAIT_SECONDS = 30;

export interface RetryingOptions {
  /** How many times to ask again. */
  readonly retries: number;
  /** Ends the wait between two with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Asks again what the platform is not up for, after the time that it says. @throws what was thrown last */
export async function retrying<T>(ask: () => Promise<T>, { retries, signal }: RetryingOptions): Promise<T> {
  for (let left = retries; ; left -= 1) {
    try {
      return await ask();
    } catch (error) {
      if (left <= 0 || !isPassing(error)) throw error;
      const seconds = Math.min(error.retryAfterSeconds ?? DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS);
      await delay(seconds * 1000, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

/** A model that was too slow for its limit, which is TIMEOUT, would be so again. */
function isPassing(error: unknown): error is AsgardRequestError {
  return error instanceof AsgardRequestError && (error.code === 'UNAVAILABLE' || error.code === 'RATE_LIMITED');
}
