import { AsgardError } from '../platform/errors.ts';

/** Models that load at once: each takes a core for some seconds, and its whole size in memory. */
const SLOTS = 2;
/** Loads that wait for a slot; more are refused, so that requests for many models cannot pile up without end. */
const MAX_WAITING = 32;

/** Two loads at once; the others wait in the order in which they came. */
export class LoadSlots {
  readonly #waiting: (() => void)[] = [];
  #free = SLOTS;

  /** Runs a load when its turn comes. @throws AsgardError UNAVAILABLE when too many wait; whatever the load throws */
  async run<T>(load: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn();
    try {
      return await load();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  #turn(): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING) {
      throw new AsgardError('UNAVAILABLE', 'too many models are waiting to be loaded; try again');
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
