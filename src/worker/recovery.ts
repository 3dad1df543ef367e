import type { PrismaClient } from '../database/generated/client.ts';
import type { Executor } from '../executors/executor.ts';
import type { JobObserver } from '../jobs/job-observer.ts';
import { closeAttempt, expiredAttempts } from '../jobs/queue.ts';
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
  readonly #observer: Pick<JobObserver, 'ended'> | undefined;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void>;

  constructor(options: {
    database: PrismaClient;
    executor: Executor;
    logger: Logger;
    observer?: Pick<JobObserver, 'ended'>;
  }) {
    this.#database = options.database;
    this.#executor = options.executor;
    this.#logger = options.logger;
    this.#observer = options.observer;
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
    const attempts = await expiredAttempts(this.#database).catch((error: unknown) => {
      this.#logger.error({ err: error }, 'recovery.sweep_failed');
      return [];
    });
    for (const { id, jobId, number, workerId } of attempts) {
      try {
        await this.#executor.forget({ jobId, attempt: number });
        const error = `worker ${workerId} stopped while it ran the job`;
        const isEnded = await endJob(this.#database, jobId, { id, number }, { status: 'LOST', error });
        if (isEnded) {
          this.#logger.warn({ jobId, attempt: number }, 'job.lost');
          this.#observer?.ended('LOST');
        } else {
          // Its job had ended in another way; an open attempt would be met again and again.
          await closeAttempt(this.#database, id);
        }
      } catch (error) {
        this.#logger.error({ jobId, attempt: number, err: error }, 'recovery.job_failed');
      }
    }
  }
}
