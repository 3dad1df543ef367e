import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { PrismaClient } from '../database/generated/client.ts';
import type { Listener } from '../database/listen.ts';
import type { JobObserver } from '../jobs/job-observer.ts';
import { claimJobs, type NewClaim } from '../jobs/queue.ts';
import { CANCEL_CHANNEL } from '../jobs/service.ts';
import { QUEUED_CHANNEL } from '../jobs/transitions.ts';
import type { Logger } from '../platform/logger.ts';
import type { CancelRequest, SuperviseTask, SupervisorSettings, WrittenEnd } from './messages.ts';

/** A lost notification delays a job by this much at most. */
const POLL_MS = 5000;
/** Supervisions that one thread carries before another is started. */
const JOBS_PER_THREAD = 64;

export interface ClaimerOptions {
  readonly database: PrismaClient;
  readonly listener: Listener;
  readonly settings: SupervisorSettings;
  /** Jobs that run at once. */
  readonly slots: number;
  readonly logger: Logger;
  readonly observer: JobObserver;
}

/** Claims queued jobs up to its free slots, and gives each to a supervising thread. */
export class Claimer implements AsyncDisposable {
  readonly workerId = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
  readonly #options: ClaimerOptions;
  readonly #pool: Piscina;
  readonly #running = new Map<string, { control: MessagePort; ended: Promise<void> }>();
  readonly #poll: NodeJS.Timeout;
  #subscriptions: (() => void)[] = [];
  #isStopping = false;
  #claiming: Promise<void> | undefined;
  #wasWoken = false;

  /** Begins to claim. */
  static async start(options: ClaimerOptions): Promise<Claimer> {
    const claimer = new Claimer(options);
    claimer.#subscriptions = [
      await options.listener.subscribe(QUEUED_CHANNEL, () => claimer.wake()),
      await options.listener.subscribe(CANCEL_CHANNEL, (jobId) => claimer.#cancel(jobId)),
      options.listener.onReconnect(() => claimer.wake()),
    ];
    claimer.wake();
    return claimer;
  }

  private constructor(options: ClaimerOptions) {
    this.#options = options;
    const threads = Math.ceil(options.slots / JOBS_PER_THREAD);
    this.#pool = new Piscina({
      filename: new URL('./supervise-job.ts', import.meta.url).href,
      workerData: options.settings,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: Math.ceil(options.slots / threads),
    });
    this.#poll = setInterval(() => this.wake(), POLL_MS);
  }

  /** How many jobs it has in hand. */
  get running(): number {
    return this.#running.size;
  }

  /** Looks for queued jobs, at once or after the look that is under way. */
  wake(): void {
    this.#wasWoken = true;
    this.#claiming ??= this.#claim().finally(() => {
      this.#claiming = undefined;
    });
  }

  /**
   * Claims no more and ends what runs, with `reason` as its error. Resolves when all of it has ended.
   */
  async stop(reason: string): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#poll);
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    await this.#claiming;
    const running = [...this.#running.values()];
    for (const { control } of running) control.postMessage({ reason } satisfies CancelRequest);
    await Promise.all(running.map(({ ended }) => ended));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('the platform was shut down');
    await this.#pool.destroy();
  }

  async #claim(): Promise<void> {
    const { database, slots, logger } = this.#options;
    while (this.#wasWoken && !this.#isStopping) {
      this.#wasWoken = false;
      const free = slots - this.#running.size;
      if (free === 0) return;
      try {
        const claims = await claimJobs(database, this.workerId, free);
        for (const claim of claims) this.#supervise(claim);
      } catch (error) {
        logger.error({ err: error }, 'worker.claim_failed');
      }
    }
  }

  #supervise({ queuedSeconds, ...claim }: NewClaim): void {
    const { jobId, number: attempt } = claim;
    const { logger, observer } = this.#options;
    observer.claimed(queuedSeconds);
    logger.info({ jobId, attempt }, 'job.claimed');
    const { port1: control, port2 } = new MessageChannel();
    const task: SuperviseTask = { claim, control: port2 };
    const ended = this.#pool
      .run(task, { transferList: [port2] })
      .then((end: WrittenEnd | null) => {
        if (end !== null) observer.ended(end.status, end.seconds);
      })
      .catch((error: unknown) => logger.error({ jobId, attempt, err: error }, 'job.supervision_failed'))
      .finally(() => {
        control.close();
        this.#running.delete(jobId);
        this.wake();
      });
    this.#running.set(jobId, { control, ended });
  }

  #cancel(jobId: string): void {
    this.#options.database.trainingJob
      .findUnique({ where: { id: jobId }, select: { cancelReason: true } })
      .then((job) => {
        const reason = job?.cancelReason ?? 'cancelled on request';
        this.#running.get(jobId)?.control.postMessage({ reason } satisfies CancelRequest);
      })
      .catch((error: unknown) => this.#options.logger.error({ jobId, err: error }, 'job.cancel_failed'));
  }
}
