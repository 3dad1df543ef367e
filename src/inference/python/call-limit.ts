import type { Waiting } from './request-queue.ts';

/**
 * How long a process may be at requests: at merged ones, and at any that nobody waits for any more. Nothing but the process's end
 * stops code that runs. Dispose when it has answered.
 */
export class CallLimit implements Disposable {
  readonly #batch: readonly Waiting[];
  #timer: NodeJS.Timeout | undefined;

  /**
   * Tells the requests that their turn has come.
   * @param end ends the process, with a reason
   */
  constructor(limitMs: number, batch: readonly Waiting[], end: (reason: string) => void) {
    this.#batch = batch;
    const begunAt = performance.now();
    const endAfter = (milliseconds: number, reason: string) => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => end(reason), milliseconds);
    };
    const leave = () => {
      if (!batch.every(({ hasLeft }) => hasLeft)) return;
      endAfter(Math.max(0, begunAt + limitMs - performance.now()), 'nobody waited for its answer any more');
    };
    for (const waiting of batch) {
      waiting.onTurn?.('python', begunAt);
      waiting.onLeave = leave;
    }
    if (batch.length > 1) endAfter(limitMs, `it did not answer within ${limitMs / 1000} s`);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const waiting of this.#batch) delete waiting.onLeave;
  }
}
