import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../src/platform/errors.ts';
import { poll } from '../../test/support/poll.ts';
import type { Random } from './random.ts';

/** Without an answer for so long a request is lost: the platform gives each one half of it. */
const LOST_MS = 120_000;
const STALLED_MS = 120_000;
/** Between two requests of a client, at most; after one that was not answered, at least. */
const PAUSE_MS = 10;
const REFUSED_PAUSE_MS = 50;
const MOST_ROWS = 4;
/** What is said in single precision differs by as much. */
const TOLERANCE = 1e-5;

/**
 * What a request came to: an answer, right or not; a refusal that says to ask again, and when; another status; or none of
 * them, by the name of the system's error.
 */
type Outcome =
  | { readonly kind: 'right' | 'wrong'; readonly version: string; readonly engine: string; readonly said: string }
  | { readonly kind: 'refused' | 'failed' | 'unanswered'; readonly said: string };

/** A request for a prediction. Times are `performance.now()`. */
export interface Asked {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly outcome: Outcome;
}

export interface ClientsOptions {
  readonly url: string;
  /** What all of them ask: a model by its name, or `name@alias`. */
  readonly model: string;
  readonly version?: string;
  readonly count: number;
  readonly random: Random;
  /** What a version says of a row whose columns `a` and `b` have this sum. */
  readonly expected: (version: string, sum: number) => number | readonly number[];
  /** Is told of each request, as it ends. */
  readonly onEnd: (asked: Asked) => void;
}

/** Clients that ask for predictions, each its next one when it has been answered. Disposing waits for those under way. */
export class Clients implements AsyncDisposable {
  readonly #options: ClientsOptions;
  readonly #running: Promise<unknown>;
  #isStopped = false;
  /** When the last request that was answered had been begun. */
  #answeredBegunAt = Number.NEGATIVE_INFINITY;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#running = Promise.all(Array.from({ length: options.count }, () => this.#ask()));
  }

  /** Resolves when a request that is begun after this call has been answered rightly. */
  async answer(): Promise<void> {
    const now = performance.now();
    await poll(
      () => this.#answeredBegunAt,
      (begunAt) => begunAt > now,
      STALLED_MS,
    );
  }

  /** No client begins another request. @returns when all that are under way have come to something */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #ask(): Promise<void> {
    const { random, onEnd } = this.#options;
    while (!this.#isStopped) {
      const sums = Array.from({ length: random.integer(1, MOST_ROWS) }, () => random.integer(1, 4_000) / 4);
      const startedAt = performance.now();
      const outcome = await this.#predict(sums);
      onEnd({ startedAt, endedAt: performance.now(), outcome });
      const hasAnswer = outcome.kind === 'right' || outcome.kind === 'wrong';
      if (outcome.kind === 'right') this.#answeredBegunAt = Math.max(this.#answeredBegunAt, startedAt);
      await delay(random.between(0, PAUSE_MS) + (hasAnswer ? 0 : REFUSED_PAUSE_MS));
    }
  }

  async #predict(sums: readonly number[]): Promise<Outcome> {
    const { url, model, version, expected } = this.#options;
    // As doubles that have no fraction in JSON too: whole numbers and others may come together.
    const inputs = { a: sums.map((sum) => sum - 0.25), b: sums.map(() => 0.25) };
    try {
      const response = await fetch(`${url}/mlops/inference`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model_name: model, model_version: version, inputs }),
        signal: AbortSignal.timeout(LOST_MS),
      });
      const text = await response.text();
      const said = `${response.status} ${text.slice(0, 300)}`;
      if (response.status === 503) {
        const isClear = response.headers.has('retry-after') && /"detail":"[^"]/.test(text);
        return { kind: isClear ? 'refused' : 'failed', said };
      }
      if (response.status !== 200) return { kind: 'failed', said };
      const by = response.headers.get('x-asgard-model-version') ?? '';
      const engine = response.headers.get('x-asgard-engine') ?? '';
      const { predictions, model_version: named } = JSON.parse(text);
      const wanted = sums.map((sum) => expected(by, sum));
      const isRight = named === by && isClose(predictions, wanted);
      return { kind: isRight ? 'right' : 'wrong', version: by, engine, said };
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      return { kind: 'unanswered', said: messageOf(cause) };
    }
  }
}

function isClose(is: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(is) && is.length === wanted.length && wanted.every((each, index) => isClose(is[index], each));
  }
  return typeof is === 'number' && typeof wanted === 'number' && Math.abs(is - wanted) <= TOLERANCE * Math.abs(wanted);
}
