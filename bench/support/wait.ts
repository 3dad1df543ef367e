import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 10;
const REQUEST_LIMIT_MS = 5_000;

/**
 * Resolves when a GET of `url` is answered 2xx; it is asked again every 10 ms, since the moment is measured.
 * @throws the signal's reason, which must have a bound
 */
export async function untilAnswering(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_LIMIT_MS)]);
    const response = await fetch(url, { signal: limit }).catch(() => null);
    await response?.body?.cancel();
    if (response?.ok === true) return;
    await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}
