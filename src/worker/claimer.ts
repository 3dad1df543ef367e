import { randomBytes } from 'node:crypto';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { PrismaClient } from '../database/generated/client.ts';
import type { Listener } from '../database/listen.ts';
import type { Executor } from '../executors/executor.ts';
import { QUEUED_CHANNEL } from '../jobs/intake.ts';
import type { JobObserver } from '../jobs/job-observer.ts';
import { type Claim, claimJobs, endPauses, takeOverAttempts, type Worker } from '../jobs/queue.ts';
import { CANCEL_CHANNEL } from '../jobs/service.ts';
import type { Logger } from '../platform/logger.ts';
import type {
  ControlMessage,
  SuperviseTask,
  SupervisorSettings,
  WarmStartTask,
  WarmUpTask,
  WrittenEnd,
} from './messages.ts';
import { threadShares } from './thread-shares.ts';

/** A lost notification delays a job by this much at most. */
const POLL_MS = 5000;
/** What a line leaves behind is done with at once; V8 would let each thread keep some 50 MiB of that. */
const YOUNG_GENERATION_MIB = 12;
/** Beside them: starts of models, which take milliseconds. */
const STARTS_PER_THREAD = 8;

export interface ClaimerOptions {
  readonly database: PrismaClient;
  readonly listener: Listener;
  readonly executor: Executor;
  readonly settings: SupervisorSettings;
  /** Jobs that run at once. */
  readonly slots: number;
  readonly logger: Logger;
  readonly observer: JobObserver;
}

/**
 * Claims queued jobs up to its free slots, takes over what other workers left behind, and gives each to a supervising
 * thread.
 */
export class Claimer implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #options: ClaimerOptions;
  readonly #pool: Piscina;
  readonly #running = new Map<string, { claim: Claim; control: MessagePort; ended: Promise<void> }>();
  readonly #poll: NodeJS.Timeout;
  #subscriptions: (() => void)[] = [];
  /** Whether jobs can be begun: until then it only goes on with those whose scripts run. */
  #isOpen = false;
  #isStopping = false;
  #claiming: Promise<void> | undefined;
  #wasWoken = false;
  /** Wakes when the pause of a job before its next attempt is over. */
  #alarm: NodeJS.Timeout | undefined;

  /** Begins to take over attempts whose scripts may have been started. What else there is to do waits for `open`. */
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
    const { machine, place, placeId } = options.executor;
    this.#worker = { id: `${machine}:${process.pid}:${randomBytes(4).toString('hex')}`, machine, place, placeId };
    const { slots, settings } = options;
    const { threads, slotsEach, launchersEach } = threadShares({ slots, launchers: settings.launchers });
    this.#pool = new Piscina({
      filename: new URL('./supervise-job.ts', import.meta.url).href,
      workerData: { ...settings, launchers: launchersEach } satisfies SupervisorSettings,
      // Otherwise a thread without a job stands still: its launchers are to be started, replaced and ended then too.
      atomics: 'disabled',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: slotsEach + STARTS_PER_THREAD,
    });
    this.#poll = setInterval(() => this.wake(), POLL_MS);
  }

  /**
   * Begins to claim jobs too, and to take over attempts whose environment was being made.
   * @param environmentFolder the environment that most of them use: launchers of it are started
   */
  open(environmentFolder: string): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.wake();
    // Handed in together, each goes to the thread that has the least to do: one to each, but by chance.
    for (let threads = 0; threads < this.#pool.threads.length; threads += 1) {
      this.#pool.run({ environmentFolder } satisfies WarmUpTask, { name: 'warm' }).catch((error: unknown) => {
        if (!this.#isStopping) this.#options.logger.warn({ err: error }, 'launcher.not_warmed_up');
      });
    }
  }

  /** Looks for queued jobs, at once or after the look that is under way. */
  wake(): void {
    this.#wasWoken = true;
    this.#claiming ??= this.#claim().finally(() => {
      this.#claiming = undefined;
    });
  }

  /** What it has in hand. */
  get claims(): readonly Claim[] {
    return [...this.#running.values()].map(({ claim }) => claim);
  }

  /** Starts what serves a model from a warm process of a supervising thread, if one has it. @returns whether it did */
  startWarm(task: WarmStartTask): Promise<boolean> {
    return this.#isStopping ? Promise.resolve(false) : this.#pool.run(task, { name: 'startWarm' });
  }

  /** Claims no more, and lets go of what runs: it goes on, and the next worker takes it over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#poll);
    clearTimeout(this.#alarm);
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    await this.#claiming;
    const running = [...this.#running.values()];
    for (const { control } of running) control.postMessage({ type: 'release' } satisfies ControlMessage);
    await Promise.all(running.map(({ ended }) => ended));
    await this.#pool.destroy();
  }

  async #claim(): Promise<void> {
    const { database, slots, logger, observer } = this.#options;
    while (this.#wasWoken && !this.#isStopping) {
      this.#wasWoken = false;
      try {
        const [abandoned, pauseSeconds] = await Promise.all([
          takeOverAttempts(database, this.#worker, [...this.#running.keys()], this.#isOpen),
          endPauses(database),
        ]);
        this.#wakeIn(pauseSeconds);
        for (const claim of abandoned) this.#supervise(claim);
        const free = slots - this.#running.size;
        // What was taken over runs already, and may be more than there are slots.
        if (!this.#isOpen || free <= 0) continue;
        for (const { queuedSeconds, ...claim } of await claimJobs(database, this.#worker, free)) {
          observer.claimed(queuedSeconds);
          this.#supervise(claim);
        }
      } catch (error) {
        logger.error({ err: error }, 'worker.claim_failed');
      }
    }
  }

  /** The next look sets it anew, and looks come every few seconds. */
  #wakeIn(seconds: number | null): void {
    clearTimeout(this.#alarm);
    if (seconds === null || seconds * 1000 > POLL_MS || this.#isStopping) return;
    this.#alarm = setTimeout(() => this.wake(), Math.ceil(seconds * 1000));
  }

  #supervise(claim: Claim): void {
    const { jobId, number: attempt, isTakenOver } = claim;
    const { logger, observer } = this.#options;
    logger.info({ jobId, attempt }, isTakenOver ? 'job.taken_over' : 'job.claimed');
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
        // Its next attempt may have begun here already.
        if (this.#running.get(jobId)?.claim === claim) this.#running.delete(jobId);
        this.wake();
      });
    this.#running.set(jobId, { claim, control, ended });
  }

  #cancel(jobId: string): void {
    this.#options.database.trainingJob
      .findUnique({ where: { id: jobId }, select: { cancelRequestedAt: true, cancelReason: true } })
      .then((job) => {
        // Whoever has a role in the database may notify, also a script's: what counts is in the row.
        if (job === null || job.cancelRequestedAt === null) return;
        const reason = job.cancelReason ?? 'cancelled on request';
        const message: ControlMessage = { type: 'cancel', reason };
        this.#running.get(jobId)?.control.postMessage(message);
      })
      .catch((error: unknown) => this.#options.logger.error({ jobId, err: error }, 'job.cancel_failed'));
  }
}
