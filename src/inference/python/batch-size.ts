/** Merged, requests wait for each other: no longer than this, as far as it can be foreseen. */
const AIM_MS = 100;
const FIRST = 8;
const MOST = 256;

/**
 * How many requests a model takes at once. Where one call costs about the same however many rows it has, more and more; where
 * each row costs, so many that nobody waits long for the others.
 */
export class BatchSize {
  #limit = FIRST;

  get limit(): number {
    return this.#limit;
  }

  /** Notes how long a batch took. */
  took(count: number, milliseconds: number): void {
    if (milliseconds > AIM_MS) this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, count) / 2));
    else if (count >= this.#limit) this.#limit = Math.min(MOST, this.#limit * 2);
  }
}
