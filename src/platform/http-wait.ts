import { setTimeout as delay } from 'node:timers/promises';

const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 250;
const REQUEST_TIMEOUT_MS = 5_000;

/**
 * Resolves when a GET of `url` answers 2xx. Asks again with pauses from 25 to 250 ms until `signal` aborts.
 * @throws the reason of `signal`, which every caller must give a bound
 */
export async function waitForHttp(url: string, signal: AbortSignal): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    signal.throwIfAborted();
    try {
      const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]) });
      await response.body?.cancel();
      if (response.ok) return;
    } catch {
      // Not listening yet: the next round asks again, or the signal ends the wait.
    }
    await delay(pause, undefined, { signal }).catch(() => undefined);
  }
}
