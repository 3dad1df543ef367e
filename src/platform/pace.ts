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
    const now = performance.now();
    this.#dueAt = Math.max(this.#dueAt, now - this.#burst * this.#everyMs) + this.#everyMs;
    if (this.#dueAt > now) await delay(this.#dueAt - now);
  }
}
