import { setTimeout as delay } from 'node:timers/promises';
import type { Executor } from '../executors/executor.ts';
import { messageOf } from '../platform/errors.ts';
import type { PythonEnvironments } from '../python/environments.ts';
import type { Readiness } from '../status/readiness.ts';
import { Claimer, type ClaimerOptions } from './claimer.ts';
import { Recovery } from './recovery.ts';

const BASE_ENVIRONMENT = 'base environment';
const RETRY_MS = 15_000;

export interface JobWorkOptions extends ClaimerOptions {
  readonly environments: PythonEnvironments;
  readonly executor: Executor;
  readonly readiness: Readiness;
}

/**
 * Everything that works on jobs. Makes the base environment first, when it is not there yet: jobs wait for it in the
 * queue rather than each in an attempt whose time runs.
 */
export class JobWork implements AsyncDisposable {
  readonly #options: JobWorkOptions;
  readonly #recovery: Recovery;
  readonly #stop = new AbortController();
  readonly #starting: Promise<void>;
  #claimer: Claimer | undefined;

  constructor(options: JobWorkOptions) {
    this.#options = options;
    this.#recovery = new Recovery(options);
    options.readiness.set(BASE_ENVIRONMENT, 'is being made');
    this.#starting = this.#start();
  }

  /** How many jobs are worked on here. */
  get running(): number {
    return this.#claimer?.running ?? 0;
  }

  /** Ends what runs; those jobs become CANCELLED. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#starting;
    await this.#claimer?.[Symbol.asyncDispose]();
    await this.#recovery[Symbol.asyncDispose]();
  }

  async #start(): Promise<void> {
    const { environments, readiness, logger } = this.#options;
    const { signal } = this.#stop;
    await environments.removeLeftovers().catch((error: unknown) => {
      logger.warn({ err: error }, 'environment.leftovers_kept');
    });
    while (!signal.aborted) {
      try {
        const onLine = (line: string) => {
          logger.info({ line }, 'environment.base');
          // One line for each package would hide what is being done.
          if (!line.startsWith(' ')) readiness.set(BASE_ENVIRONMENT, `is being made (${line})`);
        };
        await environments.prepare({ requirements: [], signal, onLine });
        readiness.clear(BASE_ENVIRONMENT);
        this.#claimer = await Claimer.start(this.#options);
        return;
      } catch (error) {
        if (signal.aborted) return;
        readiness.set(BASE_ENVIRONMENT, `could not be made, trying again: ${messageOf(error)}`);
        logger.error({ err: error }, 'environment.base_failed');
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }
}
