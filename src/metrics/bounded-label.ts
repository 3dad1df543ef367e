/** Label values for names that users make up: a new series for each would let anybody fill the memory of whoever collects. */
export class BoundedLabel {
  readonly #limit: number;
  readonly #onNew: (value: string) => void;
  readonly #known = new Set<string>();

  /** What all names share that come once there are `limit` others. No model can have it as its name: a colon is in it. */
  static readonly OTHER = ':other';
  static readonly #MAX_CHARACTERS = 100;

  /** @param onNew called with each value before it is first given, `OTHER` too */
  constructor(limit: number, onNew: (value: string) => void) {
    this.#limit = limit;
    this.#onNew = onNew;
    onNew(BoundedLabel.OTHER);
  }

  /** A name as a label's value: printable, at most 100 characters. */
  of(name: string): string {
    const printable = name.slice(0, BoundedLabel.#MAX_CHARACTERS).toWellFormed();
    const value = printable.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd');
    if (this.#known.has(value)) return value;
    if (this.#known.size >= this.#limit) return BoundedLabel.OTHER;
    this.#known.add(value);
    this.#onNew(value);
    return value;
  }
}
