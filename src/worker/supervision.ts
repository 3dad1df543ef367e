import type { MessagePort } from 'node:worker_threads';
import type { TrainingJob } from '../database/generated/client.ts';
import { type RunHandle, RunnerLostError, type RunSpec } from '../executors/executor.ts';
import { appendEvents } from '../jobs/event-store.ts';
import type { JobEvent, ScriptEnd } from '../jobs/events.ts';
import { keptOutput } from '../jobs/output-store.ts';
import { attemptSoFar, type Claim, LEASE_SECONDS, releaseAttempt } from '../jobs/queue.ts';
import { issueJobToken } from '../jobs/tracking.ts';
import { endAttempt, type JobEnd, moveJob } from '../jobs/transitions.ts';
import { Deadline } from '../platform/deadline.ts';
import { Pace } from '../platform/pace.ts';
import { retry } from '../platform/retry.ts';
import type { PythonEnvironment } from '../python/environments.ts';
import type { ExitRecord } from '../python/frames.ts';
import { usesFeast } from '../python/script-imports.ts';
import { cancelReasonOf, endAfter, endOfScript, Interruption, Released, timeoutMessage } from './attempt-end.ts';
import { AttemptHold } from './attempt-hold.ts';
import { withDeployment } from './deployment-line.ts';
import { featureAccess } from './feature-access.ts';
import { logFeatureReads } from './feature-read-inputs.ts';
import { passGate } from './gate.ts';
import { logLock } from './lock-artifact.ts';
import type { ControlMessage, WrittenEnd } from './messages.ts';
import { storeFrames } from './output.ts';
import { prepare } from './preparation.ts';
import { ScriptStorage } from './script-storage.ts';
import { scriptVariables } from './script-variables.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** A runner that has not ended its script this long after the script's grace is over is ended itself. */
const RUNNER_LIMIT_MS = 3000;
/** The end of a job is tried to be written for as long as a lease lasts: after that the job is another's to end. */
const WRITTEN_END = { isPassing: () => true, tries: LEASE_SECONDS, pauseMs: 1000 };
/** What an attempt that was taken over gets at least for what follows its script: its time may have passed unwatched. */
const TAKEN_OVER_MS = 60_000;

/**
 * A script that prints again and again has its lines stored so often at most: each batch costs the database a transaction,
 * and every subscriber a payload. The first few go at once, and so does a batch that is large enough.
 */
const BATCH_MS = 20;
const BATCHES_AT_ONCE = 5;
const MANY_FRAMES = 500;

/**
 * One attempt at a job, from claim to end: environment, script, outcome. It may have been begun by another supervision
 * that is no more: whatever is done is in the database and the spool, and safe to do again.
 */
export class Supervision {
  readonly #context: SupervisorContext;
  readonly #claim: Claim;
  readonly #handle: RunHandle;
  readonly #control: MessagePort;
  readonly #hold: AttemptHold;
  /** Aborts when the runner does not do what it was asked to: nothing more of the spool is to be read. */
  readonly #disobeyed = new AbortController();
  #hasRunner = false;
  #graceSeconds = 0;
  #usesFeast = false;
  #exit: ExitRecord | undefined;
  #scriptEnd: ScriptEnd | undefined;
  #claimedAt: Date | null = null;
  #logged: Promise<unknown> | undefined;

  constructor(context: SupervisorContext, claim: Claim, control: MessagePort) {
    this.#context = context;
    this.#claim = claim;
    this.#handle = { jobId: claim.jobId, attempt: claim.number, place: claim.place };
    this.#control = control;
    this.#hold = new AttemptHold(context, claim);
    this.#hold.signal.addEventListener('abort', () => this.#endScript());
  }

  /**
   * Resolves when the attempt has ended: with the end of its job when this wrote that; null when the job is to be tried
   * again, or is no longer this worker's. Rejects only when the end could not be written: then the attempt is there to be
   * taken over.
   */
  async run(): Promise<WrittenEnd | null> {
    const { logger } = this.#context;
    const { jobId, number: attempt } = this.#claim;
    this.#control.on('message', (message: ControlMessage) => {
      if (message.type === 'cancel') this.#hold.interrupt('CANCELLED', message.reason);
      else this.#hold.release();
    });
    using _lease = this.#hold.keep();
    const end = await this.#attempt().catch((error: unknown) => this.#endAfter(error));
    if (end === null) {
      await this.#leave();
      return null;
    }
    // Nothing of it may run on beside the next attempt: what has an exit record has ended already.
    if (this.#exit === undefined && (await this.#hold.isHeld())) await this.#forget();
    const runId = end.runId ?? (await retry(() => this.#lastRunId(), WRITTEN_END));
    if (runId !== null) await this.#logToRun(runId);
    const written = await retry(() => this.#writeEnd({ ...end, runId }), WRITTEN_END);
    const { status, error } = end;
    logger.info({ jobId, attempt, status, error, written }, written === 'retried' ? 'job.retried' : 'job.ended');
    if (written === null && (await this.#hold.isOpen())) return null;
    await this.#forget();
    if (written !== 'ended') return null;
    return { status, ...(this.#claimedAt && { seconds: (Date.now() - this.#claimedAt.getTime()) / 1000 }) };
  }

  async #attempt(): Promise<JobEnd> {
    const { database, executor } = this.#context;
    const [job, { ageSeconds, framesStored }] = await Promise.all([
      database.trainingJob.findUniqueOrThrow({ where: { id: this.#claim.jobId } }),
      attemptSoFar(database, this.#claim.id),
    ]);
    this.#claimedAt = job.startedAt;
    this.#graceSeconds = job.graceSeconds;
    this.#usesFeast = usesFeast(job.script);
    // Cancel may have been asked for between the claim and the moment that this attempt began to listen.
    const cancelReason = await cancelReasonOf(this.#context, job, this.#claim);
    if (cancelReason !== null) this.#hold.interrupt('CANCELLED', cancelReason);
    const state = job.status === 'RUNNING' ? await executor.stateOf(this.#handle) : null;
    if (state === 'gone') throw new Interruption('LOST', `nothing is left of its run on ${executor.machine}`);
    const remainingMs = (job.timeoutSeconds - ageSeconds) * 1000;
    // Of a script that has started, the runner has watched the time.
    using deadline = new Deadline(state === 'started' ? Math.max(remainingMs, TAKEN_OVER_MS) : remainingMs, () =>
      this.#hold.interrupt('TIMED_OUT', timeoutMessage(job)),
    );
    const { bucket } = this.#context;
    await using _stored =
      bucket && new ScriptStorage({ bucket, job, signal: this.#hold.signal, say: (text) => this.#say(text) });
    // Kept until the script has ended: its runner keeps it too, once it is up.
    using environment = state === 'started' ? null : await this.#prepare(job);
    if (environment === null) this.#ownRunner();
    else await this.#begin(job, environment, state === null, deadline);
    const exit = await this.#followScript(framesStored);
    this.#exit = exit;
    const end = this.#endOf(job, exit);
    end.catch(() => {}); // looked at below, once what is left of the script's output is known
    this.#scriptEnd = await this.#scriptEndOf(exit);
    // Awaited here: the deadline covers the registration too.
    const registered = await end;
    // And not the check of what was registered, which has a limit of its own: the job has done its work.
    deadline[Symbol.dispose]();
    if (registered.runId != null) void this.#logToRun(registered.runId); // waited for at the end
    const tried = await passGate(this.#context, job, this.#claim, registered, this.#hold.signal);
    return await withDeployment(this.#context, job, tried);
  }

  /** Of a script that was interrupted the interruption decides, however it ended. */
  async #endOf(job: TrainingJob, exit: ExitRecord): Promise<JobEnd> {
    const { signal } = this.#hold;
    signal.throwIfAborted();
    return endOfScript(this.#context, job, this.#claim, exit, signal);
  }

  #prepare(job: TrainingJob): Promise<PythonEnvironment> {
    const { signal } = this.#hold;
    signal.throwIfAborted();
    const append = (events: readonly JobEvent[]) => this.#append(events);
    return prepare(this.#context, job, { signal, append, say: (text) => this.#say(text) });
  }

  async #begin(job: TrainingJob, environment: PythonEnvironment, isNew: boolean, deadline: Deadline): Promise<void> {
    if (isNew) await this.#becomeRunning();
    await this.#startScript(job, environment, deadline);
  }

  /** From now on only a worker that sees the run's files goes on with the attempt: nothing runs twice. */
  async #becomeRunning(): Promise<void> {
    const { database, executor } = this.#context;
    this.#hold.signal.throwIfAborted();
    await executor.reserve(this.#handle);
    if (!(await moveJob(database, this.#claim.jobId, 'RUNNING', this.#claim))) await this.#hold.mustHold();
  }

  async #startScript(job: TrainingJob, environment: PythonEnvironment, deadline: Deadline): Promise<void> {
    const { database, executor, gatewayUrl, keepsTrainingRows, outputLimitBytes } = this.#context;
    const featureStoreYaml = await this.#featureStoreYaml(job, deadline);
    const token = await issueJobToken(database, this.#claim);
    if (token === null) return this.#hold.mustHold();
    const spec: RunSpec = {
      scriptName: job.scriptName,
      script: job.script,
      environmentFolder: environment.folder,
      variables: scriptVariables(job, token, { gatewayUrl, keepsTrainingRows }),
      featureStoreYaml,
      timeoutSeconds: deadline.remainingSeconds,
      graceSeconds: job.graceSeconds,
      outputLimitBytes,
    };
    this.#hold.signal.throwIfAborted();
    await executor.submit(this.#handle, spec);
    this.#ownRunner();
  }

  async #featureStoreYaml(job: TrainingJob, deadline: Deadline): Promise<string | undefined> {
    const { features } = this.#context;
    if (features === undefined || !this.#usesFeast) return undefined;
    const seconds = deadline.remainingSeconds + job.graceSeconds;
    return featureAccess(features, { holder: this.#handle, seconds, say: (text) => this.#say(text) });
  }

  #ownRunner(): void {
    this.#hasRunner = true;
    this.#endScript(); // an interruption that came before found nothing to end
  }

  /** Stores the script's lines as they come; what is printed while a batch is being stored makes the next one. */
  async #followScript(framesStored: number): Promise<ExitRecord> {
    const { database, executor, outputLimitBytes } = this.#context;
    // Not the interruption's signal: a script that is being ended still prints, and its end is in the frames.
    const signal = AbortSignal.any([this.#hold.released, this.#disobeyed.signal]);
    const pace = new Pace(BATCH_MS, BATCHES_AT_ONCE);
    for await (const frames of executor.frames(this.#handle, framesStored, signal)) {
      if (!(await storeFrames(database, this.#claim, frames, outputLimitBytes))) await this.#hold.mustHold();
      const last = frames.at(-1);
      if (last !== undefined && 'exit' in last) return last.exit;
      if (frames.length < MANY_FRAMES) await pace.turn();
    }
    throw new RunnerLostError(this.#handle);
  }

  async #scriptEndOf({ code: exitCode, signal, lines, bytes, sha256 }: ExitRecord): Promise<ScriptEnd> {
    const all = { lines, bytes, sha256 };
    return { exitCode, signal, ...all, kept: await keptOutput(this.#context.database, this.#claim, all) };
  }

  /** Null: it has not ended. */
  #endAfter(error: unknown): JobEnd | null {
    const { interruption, signal } = this.#hold;
    if (error instanceof Released || signal.reason instanceof Released) return null;
    return endAfter(this.#context, this.#claim.jobId, interruption ?? error, this.#hasRunner);
  }

  /** Once the database answers again, or another worker looks, the attempt is taken over. */
  async #leave(): Promise<void> {
    const { database, logger } = this.#context;
    const { jobId, number: attempt } = this.#claim;
    logger.info({ jobId, attempt }, 'job.released');
    await releaseAttempt(database, this.#claim).catch((error: unknown) => {
      logger.warn({ jobId, attempt, err: error }, 'job.lease_kept');
    });
  }

  async #lastRunId(): Promise<string | null> {
    const { jobId, id: attemptId } = this.#claim;
    const where = { jobId, attemptId };
    const run = await this.#context.database.jobRun.findFirst({ where, orderBy: { id: 'desc' } });
    return run?.runId ?? null;
  }

  /** What the platform knows of the run's making. Never rejects. */
  #logToRun(runId: string): Promise<unknown> {
    this.#logged ??= Promise.all([
      logLock(this.#context, this.#claim, runId),
      logFeatureReads(this.#context, this.#claim),
    ]);
    return this.#logged;
  }

  #writeEnd(end: JobEnd): Promise<'ended' | 'retried' | null> {
    const script = this.#scriptEnd && { script: this.#scriptEnd };
    const usage = this.#exit && { usage: usageOf(this.#exit) };
    return endAttempt(this.#context.database, this.#claim.jobId, this.#claim, { ...end, ...script, ...usage });
  }

  /** Removes what the run left; ends it first when it still runs. Its access to the feature store ends with it. */
  async #forget(): Promise<void> {
    const { executor, features, logger } = this.#context;
    const about = { jobId: this.#claim.jobId, attempt: this.#claim.number };
    await executor.forget(this.#handle).catch((error: unknown) => {
      logger.warn({ ...about, err: error }, 'job.files_left');
    });
    if (!this.#usesFeast) return;
    await features?.roles.drop(this.#handle).catch((error: unknown) => {
      logger.warn({ ...about, err: error }, 'script_role.left');
    });
  }

  /** Where there is a script, and the attempt has to end. */
  #endScript(): void {
    if (!this.#hasRunner || this.#hold.interruption === undefined) return;
    this.#context.executor.cancel(this.#handle).catch((error: unknown) => {
      this.#context.logger.error({ jobId: this.#claim.jobId, err: error }, 'job.cancel_failed');
    });
    const limitMs = this.#graceSeconds * 1000 + RUNNER_LIMIT_MS;
    setTimeout(() => this.#disobeyed.abort(new RunnerLostError(this.#handle)), limitMs).unref();
  }

  #append(events: readonly JobEvent[]): Promise<boolean> {
    return appendEvents(this.#context.database, this.#claim.jobId, events, this.#claim);
  }

  async #say(text: string): Promise<void> {
    await this.#append([{ type: 'log', at: new Date().toISOString(), stream: 'platform', text }]);
  }
}

function usageOf({ max_rss_bytes: maxRssBytes, cpu_seconds: cpuSeconds }: ExitRecord): NonNullable<JobEnd['usage']> {
  return { maxRssBytes, cpuSeconds };
}
