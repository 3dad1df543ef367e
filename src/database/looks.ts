import { setTimeout as delay } from 'node:timers/promises';
import type { Listener } from './listen.ts';

/** A lost notification delays a look by this much at most. */
const LOOK_AGAIN_MS = 2_000;

/**
 * Says when to look at something that others change: at once, after each notification about it, and every 2 s. What is
 * notified while somebody looks is one more look.
 * @param channels of each channel, whether a payload is about it
 * @param signal ends it
 */
export async function* looks(
  listener: Pick<Listener, 'subscribe'>,
  channels: Readonly<Record<string, (payload: string) => boolean>>,
  signal: AbortSignal,
): AsyncGenerator<void, void> {
  let isChanged = true;
  let wake = () => {};
  const onAbort = () => wake();
  const unsubscribe = await Promise.all(
    Object.entries(channels).map(([channel, isAboutIt]) =>
      listener.subscribe(channel, (payload) => {
        if (!isAboutIt(payload)) return;
        isChanged = true;
        wake();
      }),
    ),
  );
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      isChanged = false;
      yield;
      if (isChanged || signal.aborted) continue;
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([woken, delay(LOOK_AGAIN_MS, undefined, { ref: false })]);
    }
  } finally {
    for (const end of unsubscribe) end();
    signal.removeEventListener('abort', onAbort);
  }
}
