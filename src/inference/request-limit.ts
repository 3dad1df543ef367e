import { AsgardError } from '../platform/errors.ts';

/** Until when an answer to one request is of use: its caller has gone, or its time is over. Dispose when it is answered. */
export class RequestLimit implements Disposable {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #leave = () => this.#controller.abort(this.#caller?.reason);
  #timer: NodeJS.Timeout | undefined;

  /** @param caller aborts when whoever asks has gone */
  constructor(caller: AbortSignal | undefined) {
    this.#caller = caller;
    if (caller?.aborted === true) this.#leave();
    caller?.addEventListener('abort', this.#leave);
  }

  /** Aborts with the caller's reason, or with an AsgardError TIMEOUT. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From the first call on the time counts. */
  begin(limitMs: number): void {
    this.#timer ??= setTimeout(() => {
      const message = `the model did not answer within ${limitMs / 1000} s; try again`;
      this.#controller.abort(new AsgardError('TIMEOUT', message));
    }, limitMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#leave);
  }
}
