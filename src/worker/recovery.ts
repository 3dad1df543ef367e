import type { PrismaClient } from '../database/generated/client.ts';
import type { Executor } from '../executors/executor.ts';
import { expiredAttempts } from '../jobs/queue.ts';
import { endJob } from '../jobs/transitions.ts';
import type { Logger } from '../platform/logger.ts';

const SWEEP_MS = 10_000;

/**
 * Ends jobs whose worker stopped renewing its lease: they are LOST, and what still runs of them on this machine is ended
 * first, so that a script cannot go on behind a job that is over.
 */
export class Recovery implements AsyncDisposable {
  readonly #database: PrismaClient;
  readonly #executor: Executor;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void>;

  constructor(options: { database: PrismaClient; executor: Executor; logger: Logger }) {
    this.#database = options.database;
    this.#executor = options.executor;
    this.#logger = options.logger;
    this.#sweeping = this.#sweep();
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweeping.then(() => this.#sweep());
    }, SWEEP_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    try {
      for (const attempt of await expiredAttempts(this.#database)) {
        await this.#executor.forget({ jobId: attempt.jobId, attempt: attempt.number });
        const error = `worker ${attempt.workerId} stopped while it ran the job`;
        const isEnded = await endJob(this.#database, attempt.jobId, attempt, { status: 'LOST', error });
        this.#logger.warn({ jobId: attempt.jobId, attempt: attempt.number, isEnded }, 'job.lost');
      }
    } catch (error) {
      this.#logger.error({ err: error }, 'recovery.sweep_failed');
    }
  }
}
