import type { NumberedJobEvent } from './events.ts';

/** A reader looks again after this long even when nothing woke it. */
const IDLE_READ_MS = 10_000;

/** A wait for more events. */
export interface Wait extends Disposable {
  /** Resolves when there may be more, or with `idle` after a while in any case. */
  readonly over: Promise<'woken' | 'idle'>;
}

/** What the followers of one job share: the notifications of it, and reads from the same place. */
export class FollowedJob {
  readonly #readAfter: (after: number) => Promise<NumberedJobEvent[]>;
  readonly #waiters = new Set<(newest: number) => void>();
  /** Under way, by the number that they begin after. */
  #reads = new Map<number, Promise<NumberedJobEvent[]>>();
  /** The newest number that was notified; undefined: nobody knows. */
  #newest: number | undefined;

  constructor(readAfter: (after: number) => Promise<NumberedJobEvent[]>) {
    this.#readAfter = readAfter;
  }

  /** There are events up to `newest`, all of which can be read by now. */
  notify(newest: number): void {
    // A read that began before this may miss what it tells of: who reads from now on begins anew.
    this.#reads = new Map();
    this.#newest = Math.max(this.#newest ?? 0, newest);
    for (const wake of this.#waiters) wake(newest);
  }

  /** Notifications may have been lost: every follower looks for itself. */
  distrust(): void {
    this.notify(Number.POSITIVE_INFINITY);
    this.#newest = undefined;
  }

  /** Whether whoever has all up to `cursor` has all there is, as far as was notified: each later event will be. */
  isAllUpTo(cursor: number): boolean {
    return this.#newest !== undefined && cursor >= this.#newest;
  }

  /** Events above a number. Those who ask for the same at the same time share one read. */
  read(after: number): Promise<NumberedJobEvent[]> {
    const reads = this.#reads;
    const running = reads.get(after);
    if (running !== undefined) return running;
    const read = this.#readAfter(after).finally(() => reads.delete(after));
    reads.set(after, read);
    return read;
  }

  /** To be begun before the read or the look that it follows, so that an event between the two wakes it. */
  wait(cursor: number, signal: AbortSignal | undefined): Wait {
    const { promise: over, resolve } = Promise.withResolvers<'woken' | 'idle'>();
    const wake = (newest: number) => {
      if (newest > cursor) resolve('woken');
    };
    const stop = () => resolve('woken');
    const timer = setTimeout(() => resolve('idle'), IDLE_READ_MS);
    signal?.addEventListener('abort', stop);
    this.#waiters.add(wake);
    const dispose = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      this.#waiters.delete(wake);
    };
    return { over, [Symbol.dispose]: dispose };
  }
}
