import { setTimeout as delay } from 'node:timers/promises';
import type { ScriptRoles } from '../feast/script-role.ts';
import type { Claim } from '../jobs/queue.ts';
import { JobService } from '../jobs/service.ts';
import { messageOf } from '../platform/errors.ts';
import type { PythonEnvironment, PythonEnvironments } from '../python/environments.ts';
import type { Readiness } from '../status/readiness.ts';
import { Claimer, type ClaimerOptions } from './claimer.ts';
import type { WarmStartTask } from './messages.ts';
import { Recovery, type RecoveryOptions } from './recovery.ts';
import { RoleSweep } from './role-sweep.ts';

const BASE_ENVIRONMENT = 'base environment';
const RETRY_MS = 15_000;
/** What the base packages resolve to is forgotten after a day: no job waits for the next answer, or what it needs built. */
const REFRESH_MS = 3_600_000;
/** A script that is ended while the platform shuts down gets no longer than this. */
const CANCEL_LIMIT_MS = 4_000;

export interface JobWorkOptions extends ClaimerOptions, Omit<RecoveryOptions, 'observer'> {
  readonly roles: ScriptRoles;
  readonly environments: PythonEnvironments;
  readonly readiness: Readiness;
}

/**
 * Everything that works on jobs. Goes on with the scripts that run, and makes the base environment, when it is not there yet,
 * before it begins others: those wait for it in the queue rather than each in an attempt whose time runs.
 */
export class JobWork implements AsyncDisposable {
  readonly #options: JobWorkOptions;
  readonly #recovery: Recovery;
  readonly #roleSweep: RoleSweep;
  readonly #stop = new AbortController();
  readonly #starting: Promise<void>;
  #refreshing: Promise<void> = Promise.resolve();
  /** Kept for as long as this works, used or not. */
  #base: PythonEnvironment | undefined;
  #claimer: Claimer | undefined;
  #released: readonly Claim[] | undefined;
  #cancelling: Promise<void> | undefined;

  constructor(options: JobWorkOptions) {
    this.#options = options;
    this.#recovery = new Recovery(options);
    this.#roleSweep = new RoleSweep(options);
    options.readiness.set(BASE_ENVIRONMENT, 'is being made');
    this.#starting = this.#start();
  }

  /** How many jobs it has in hand, also those whose environment is being prepared. */
  get jobsInHand(): number {
    return this.#claims.length;
  }

  /** How many of them have scripts, which go on when this ends. */
  async countRunning(): Promise<number> {
    const { executor } = this.#options;
    const stateOf = ({ jobId, number: attempt, place }: Claim) => executor.stateOf({ jobId, attempt, place });
    const states = await Promise.all(this.#claims.map(stateOf));
    return states.filter((state) => state === 'started').length;
  }

  /** Starts what serves a model from a warm process, if there is one. @returns whether it did */
  async startWarm(task: WarmStartTask): Promise<boolean> {
    return (await this.#claimer?.startWarm(task)) ?? false;
  }

  /** Scripts that run go on; the next start takes their jobs over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#released = this.#claims;
    this.#stop.abort();
    await this.#starting;
    await this.#refreshing;
    this.#base?.[Symbol.dispose]();
    await this.#claimer?.[Symbol.asyncDispose]();
    await this.#recovery[Symbol.asyncDispose]();
    await this.#roleSweep[Symbol.asyncDispose]();
    await this.#cancelling;
  }

  /**
   * Ends the scripts of the jobs in hand, also of those that were let go of while this ends: the next start finds them
   * ended, and their jobs become CANCELLED.
   */
  cancelRunning(reason: string): Promise<void> {
    const { executor, database, logger } = this.#options;
    const jobs = new JobService(database);
    const cancel = async ({ jobId, number: attempt, place }: Claim) => {
      const handle = { jobId, attempt, place };
      // Not one after the other: the database may be closed by now, or take its time to fail. The run bears the reason too.
      const stored = jobs.cancel(jobId, reason).catch((error: unknown) => {
        logger.warn({ jobId, err: error }, 'job.cancel_not_stored');
      });
      await executor.cancel(handle, reason).catch((error: unknown) => {
        logger.error({ jobId, err: error }, 'job.cancel_failed');
      });
      const frames = executor.frames(handle, 0, AbortSignal.timeout(CANCEL_LIMIT_MS));
      // Its exit is the last frame; one that was not started has none.
      const ended = Array.fromAsync(frames).catch(() => {});
      await Promise.all([ended, Promise.race([stored, delay(CANCEL_LIMIT_MS, undefined, { ref: false })])]);
    };
    this.#cancelling ??= Promise.all(this.#claims.map(cancel)).then(() => {});
    return this.#cancelling;
  }

  get #claims(): readonly Claim[] {
    return this.#released ?? this.#claimer?.claims ?? [];
  }

  async #start(): Promise<void> {
    const { environments, readiness, logger } = this.#options;
    const { signal } = this.#stop;
    await environments.removeLeftovers().catch((error: unknown) => {
      logger.warn({ err: error }, 'environment.leftovers_kept');
    });
    while (!signal.aborted) {
      try {
        this.#claimer ??= await Claimer.start(this.#options);
        const onLine = (line: string) => {
          logger.info({ line }, 'environment.base');
          // One line for each package would hide what is being done.
          if (!line.startsWith(' ')) readiness.set(BASE_ENVIRONMENT, `is being made (${line})`);
        };
        this.#base ??= await environments.prepare({ requirements: [], signal, onLine });
        readiness.clear(BASE_ENVIRONMENT);
        this.#claimer.open(this.#base.folder);
        this.#refreshing = this.#refresh();
        return;
      } catch (error) {
        if (signal.aborted) return;
        readiness.set(BASE_ENVIRONMENT, `could not be made, trying again: ${messageOf(error)}`);
        logger.error({ err: error }, 'environment.base_failed');
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #refresh(): Promise<void> {
    const { environments, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const next = await environments.prepare({ requirements: [], signal });
        this.#base?.[Symbol.dispose]();
        this.#base = next;
        await environments.makeRoom();
      } catch (error) {
        if (!signal.aborted) logger.warn({ err: error }, 'environment.not_refreshed');
      }
      await delay(REFRESH_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}
