import type { PrismaClient } from '../database/generated/client.ts';
import type { Executor } from '../executors/executor.ts';
import type { JobObserver } from '../jobs/job-observer.ts';
import { closeAttempt, silentAttempts } from '../jobs/queue.ts';
import { endAttempt } from '../jobs/transitions.ts';
import type { Logger } from '../platform/logger.ts';
import { Repeated } from '../platform/repeated.ts';

const SWEEP_MS = 10_000;

export interface RecoveryOptions {
  readonly database: PrismaClient;
  readonly executor: Executor;
  /** How long a machine may be silent before the jobs on it are given up. */
  readonly lostAfterSeconds: number;
  readonly logger: Logger;
  readonly observer?: Pick<JobObserver, 'ended'>;
}

/**
 * Ends what nobody can go on with: attempts on another machine that has been silent for too long are LOST, and what is left
 * here of attempts that are over is removed, so that no script goes on behind a job that has ended. What else is on this
 * machine or in this data folder is taken over, however long nobody looked after it: its script may run, or have ended well.
 */
export class Recovery implements AsyncDisposable {
  readonly #options: RecoveryOptions;
  readonly #sweeping: Repeated;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    const sweep = () => this.#sweep();
    this.#sweeping = new Repeated(SWEEP_MS, sweep, () => this.#removeLeftovers().then(sweep));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweeping[Symbol.asyncDispose]();
  }

  async #sweep(): Promise<void> {
    const { database, executor, lostAfterSeconds, logger, observer } = this.#options;
    const attempts = await silentAttempts(database, lostAfterSeconds, executor).catch((error: unknown) => {
      logger.error({ err: error }, 'recovery.sweep_failed');
      return [];
    });
    for (const { id, jobId, number, workerId, place, isInReach } of attempts) {
      try {
        if (isInReach) await executor.forget({ jobId, attempt: number, place });
        const error = `worker ${workerId} fell silent while it ran the job, and did not return`;
        const end = { status: 'LOST', error, isInfrastructure: true } as const;
        // Its machine may have returned since the look: then the attempt is another worker's.
        const written = await endAttempt(database, jobId, { id, number, workerId }, end);
        if (written !== null) {
          logger.warn({ jobId, attempt: number, written }, 'job.lost');
          if (written === 'ended') observer?.ended('LOST');
        } else {
          // Its job had ended in another way; an open attempt would be met again and again.
          await closeAttempt(database, id);
        }
      } catch (error) {
        logger.error({ jobId, attempt: number, err: error }, 'recovery.job_failed');
      }
    }
  }

  /** This machine may have been away for so long that its jobs were given up. */
  async #removeLeftovers(): Promise<void> {
    const { database, executor, logger } = this.#options;
    for (const handle of await executor.handles()) {
      const { jobId, attempt: number } = handle;
      try {
        if ((await database.jobAttempt.count({ where: { jobId, number, endedAt: null } })) > 0) continue;
        await executor.forget(handle);
        logger.warn({ jobId, attempt: number }, 'job.leftovers_removed');
      } catch (error) {
        logger.error({ jobId, attempt: number, err: error }, 'recovery.job_failed');
      }
    }
  }
}
