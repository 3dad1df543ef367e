/** Numbers that look random, and come again with the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** At least `from`, below `to`. */
  between(from: number, to: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return from + (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * (to - from);
  }

  /** A whole number from `from` to `to`, both included. */
  integer(from: number, to: number): number {
    return Math.floor(this.between(from, to + 1));
  }

  /** So many different whole numbers from 1 to `to`, in ascending order. */
  points(count: number, to: number): number[] {
    if (count > to) throw new Error(`there are no ${count} different numbers up to ${to}`);
    const points = new Set<number>();
    while (points.size < count) points.add(this.integer(1, to));
    return [...points].toSorted((a, b) => a - b);
  }
}
