import { setTimeout as delay } from 'node:timers/promises';

/** Lets a few turns pass at once, and from then on one in a while: what is rare is not delayed, what is frequent is gathered. */
export class Pace {
  readonly #everyMs: number;
  readonly #burst: number;
  /** When a turn would be on time if all of them kept the pace. */
  #dueAt = 0;

  /** @param burst how many turns may come without a pause, after as many pauses */
  constructor(everyMs: number, burst: number) {
    this.#everyMs = everyMs;
    this.#burst = burst;
  }

  /** Resolves when it is time for the next turn; never later than a pause from now, if turns are taken one by one. */
  async turn(): Promise<void> {
    const pauseMs = this.take(performance.now());
    if (pauseMs > 0) await delay(pauseMs);
  }

  /** Takes a turn at `now`, in milliseconds of any clock. @returns how long it has to wait; 0: it need not */
  take(now: number): number {
    this.#dueAt = Math.max(this.#dueAt, now - this.#burst * this.#everyMs) + this.#everyMs;
    return Math.max(0, this.#dueAt - now);
  }
}
