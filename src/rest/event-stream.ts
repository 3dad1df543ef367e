import { setTimeout as delay } from 'node:timers/promises';
import type { NumberedJobEvent } from '../jobs/events.ts';
import { presentEvent } from './wire-events.ts';

/** Proxies close what is silent for a minute, and a client that is gone is found by writing to it. */
const KEEP_ALIVE_MS = 15_000;
/** How long a client shall wait before it connects again: long enough for a restart not to be hammered. */
const RETRY_MS = 1_000;

/**
 * Lists of a job's events as the text of server-sent events. One list is asked for when the one before was taken, so a
 * slow reader holds one.
 * @param keepAliveMs of silence, after which a comment is sent
 */
export async function* eventStreamText(
  lists: AsyncIterator<readonly NumberedJobEvent[], void>,
  keepAliveMs = KEEP_ALIVE_MS,
): AsyncGenerator<string, void> {
  try {
    // At once, so that a client sees its connection before anything happens.
    yield `retry: ${RETRY_MS}\n\n`;
    for (let next = lists.next(); ; ) {
      const result = await inTime(next, keepAliveMs);
      if (result === undefined) {
        yield ':\n\n';
        continue;
      }
      if (result.done === true) return;
      yield result.value.map(messageOf).join('');
      next = lists.next();
    }
  } finally {
    await lists.return?.();
  }
}

/** JSON has no line ends, which would divide the message. */
function messageOf(event: NumberedJobEvent): string {
  return `id: ${event.sequence}\nevent: ${event.type}\ndata: ${JSON.stringify(presentEvent(event))}\n\n`;
}

/** Undefined when it takes longer. */
async function inTime<T>(promise: Promise<T>, limitMs: number): Promise<T | undefined> {
  const over = new AbortController();
  const limit = delay(limitMs, undefined, { signal: over.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, limit]);
  } finally {
    over.abort();
  }
}
