/** So long a process waits for those who were answered together: this part of what their call took, and no longer than that. */
const GATHER_PART = 1 / 5;
const MAX_GATHER_MS = 3;

/**
 * Clients that ask again as soon as they are answered come back together after a merged call. The first of them would go alone, and
 * all others after it: half as many requests a second. So the process waits for them, where they were seen to do so: when, after the
 * merged call before, more than half of them had come by the end of the next call. One who comes after a burst is not delayed.
 * Moments are by `performance.now()`.
 */
export class Gathering {
  #expected = 0;
  #came = 0;
  #until = 0;
  #doReturn = false;

  /** Notes that a call with so many requests was answered. */
  answered(count: number, tookMs: number, now: number): void {
    if (this.#expected > 0) this.#doReturn = this.#came * 2 > this.#expected;
    this.#expected = count > 1 ? count : 0;
    this.#came = 0;
    this.#until = now + Math.min(MAX_GATHER_MS, tookMs * GATHER_PART);
  }

  /** Notes that a request has come. */
  came(): void {
    this.#came += 1;
  }

  /** Until when the process waits though so many requests are there; null: it takes them now. */
  waitsUntil(now: number, waiting: number): number | null {
    return this.#doReturn && waiting < this.#expected && now < this.#until ? this.#until : null;
  }
}
