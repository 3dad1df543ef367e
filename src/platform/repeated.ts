/** Work that is done again and again, one time after the other. It never rejects. Disposing waits for what is under way. */
export class Repeated implements AsyncDisposable {
  readonly #timer: NodeJS.Timeout;
  #under: Promise<void>;

  /** @param first what is done at once; absent: the work itself */
  constructor(everyMs: number, work: () => Promise<void>, first = work) {
    this.#under = first();
    this.#timer = setInterval(() => {
      this.#under = this.#under.then(work);
    }, everyMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#under;
  }
}
