/** A moment after which `onExpired` is called, once. Dispose to call it off. */
export class Deadline {
  readonly #endsAt: number;
  readonly #timer: NodeJS.Timeout;

  constructor(milliseconds: number, onExpired: () => void) {
    this.#endsAt = performance.now() + milliseconds;
    this.#timer = setTimeout(onExpired, milliseconds);
  }

  /** Seconds until the moment, 0 when it is past. */
  get remainingSeconds(): number {
    return Math.max(0, this.#endsAt - performance.now()) / 1000;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
