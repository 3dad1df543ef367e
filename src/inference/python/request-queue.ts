import { AsgardError } from '../../platform/errors.ts';
import type { ModelAnswer, OnTurn } from '../engine.ts';
import type { WorkerRequest } from '../protocol.ts';

/** Requests that wait for one model; more are refused, so that a slow model cannot pile up work without end. */
const MAX_WAITING = 512;
/** Values (rows times columns) in them: some hundred MB. */
const MAX_VALUES = 8_000_000;
/** Of a batch: a call with so many costs what its rows cost, and more in one gain nothing. */
const MAX_MERGED_VALUES = 50_000;

/** A request that has no answer yet. */
export interface Waiting {
  readonly request: WorkerRequest;
  readonly onTurn: OnTurn | undefined;
  resolve(answer: ModelAnswer): void;
  reject(error: unknown): void;
  /** A process has ended with it: it is not merged with others any more, and not tried a third time. */
  wasTried: boolean;
  /** Nobody waits for its answer any more. */
  hasLeft: boolean;
  /** Called at that moment while a process has it in hand. */
  onLeave?: () => void;
}

/** Those that wait for a model to be free, the oldest first. */
export class RequestQueue {
  readonly #entries: Waiting[] = [];
  #valueCount = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** @throws AsgardError UNAVAILABLE when too many wait already */
  add(waiting: Waiting): void {
    const isFull = this.#entries.length >= MAX_WAITING || this.#valueCount + valueCountOf(waiting) > MAX_VALUES;
    if (isFull && this.#entries.length > 0) {
      throw new AsgardError('UNAVAILABLE', 'too many predictions are waiting for this model; try again');
    }
    this.#entries.push(waiting);
    this.#valueCount += valueCountOf(waiting);
  }

  /** Puts back what was taken, to come next. */
  addFirst(entries: readonly Waiting[]): void {
    this.#entries.unshift(...entries);
    for (const waiting of entries) this.#valueCount += valueCountOf(waiting);
  }

  /** @returns whether it waited */
  remove(waiting: Waiting): boolean {
    const index = this.#entries.indexOf(waiting);
    if (index === -1) return false;
    this.#entries.splice(index, 1);
    this.#valueCount -= valueCountOf(waiting);
    return true;
  }

  /** The next ones, at most so many; one that was tried already goes alone. */
  take(limit: number): Waiting[] {
    const [first] = this.#entries;
    if (first === undefined) return [];
    let count = 1;
    let values = valueCountOf(first);
    while (!first.wasTried && count < limit) {
      const next = this.#entries[count];
      if (next === undefined || next.wasTried || values + valueCountOf(next) > MAX_MERGED_VALUES) break;
      values += valueCountOf(next);
      count += 1;
    }
    this.#valueCount -= values;
    return this.#entries.splice(0, count);
  }

  takeAll(): Waiting[] {
    this.#valueCount = 0;
    return this.#entries.splice(0);
  }
}

function valueCountOf({ request }: Waiting): number {
  return Object.values(request.inputs).reduce((sum, values) => sum + values.length, 0);
}
