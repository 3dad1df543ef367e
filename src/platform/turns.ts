import { AsgardError } from './errors.ts';

/** Runs so many works at once; the others wait in the order in which they came. */
export class Turns {
  readonly #what: string;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** @param what is done in a turn, for the message when too many wait: `too many tables are being written` */
  constructor(what: string, limits: { readonly atOnce: number; readonly maxWaiting: number }) {
    this.#what = what;
    this.#free = limits.atOnce;
    this.#maxWaiting = limits.maxWaiting;
  }

  /**
   * Does `work` when its turn comes.
   * @throws AsgardError UNAVAILABLE when too many wait; the signal's reason when it aborts before; what the work throws
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new AsgardError('UNAVAILABLE', `${this.#what}; try again`);
    }
    return new Promise((resolve, reject) => {
      const begin = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1);
        reject(signal?.reason);
      };
      this.#waiting.push(begin);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }
}
