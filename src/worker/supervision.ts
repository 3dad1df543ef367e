import type { MessagePort } from 'node:worker_threads';
import type { TrainingJob } from '../database/generated/client.ts';
import { RunnerLostError, type RunSpec } from '../executors/executor.ts';
import { appendEvents } from '../jobs/event-store.ts';
import type { JobEvent } from '../jobs/events.ts';
import { type Claim, LEASE_SECONDS, renewLease } from '../jobs/queue.ts';
import { issueJobToken } from '../jobs/tracking.ts';
import { endJob, type JobEnd, moveJob, type ScriptEnd } from '../jobs/transitions.ts';
import { Deadline } from '../platform/deadline.ts';
import { AsgardError, hasCode, messageOf } from '../platform/errors.ts';
import type { PythonEnvironment } from '../python/environments.ts';
import type { ExitRecord, Frame } from '../python/frames.ts';
import { EventWriter } from './event-writer.ts';
import type { CancelRequest } from './messages.ts';
import { concludeSuccess } from './outcome.ts';
import { scriptVariables } from './script-variables.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** Between asking a script to end and killing it. */
const GRACE_SECONDS = 3;
/** How often a script that may start is held back for the tracking server. */
const MLFLOW_POLL_MS = 250;

/** Why a job stops before its script has ended by itself. */
class Interruption extends Error {
  readonly status: 'CANCELLED' | 'TIMED_OUT' | 'LOST';

  constructor(status: 'CANCELLED' | 'TIMED_OUT' | 'LOST', message: string) {
    super(message);
    this.status = status;
  }
}

/** One attempt at a job, from claim to end: environment, script, outcome. */
export class Supervision {
  readonly #context: SupervisorContext;
  readonly #claim: Claim;
  readonly #interruption = new AbortController();
  readonly #control: MessagePort;
  #hasScript = false;

  constructor(context: SupervisorContext, claim: Claim, control: MessagePort) {
    this.#context = context;
    this.#claim = claim;
    this.#control = control;
  }

  /** Resolves when the job has ended or is no longer this worker's. Rejects only when its end could not be written. */
  async run(): Promise<void> {
    const { database, executor, logger } = this.#context;
    const { jobId, number: attempt } = this.#claim;
    this.#control.on('message', ({ reason }: CancelRequest) => this.#interrupt(new Interruption('CANCELLED', reason)));
    const lease = setInterval(() => void this.#renew(), (LEASE_SECONDS / 3) * 1000);
    try {
      const end = await this.#attempt().catch((error: unknown) => this.#endAfter(error));
      const runId = end.runId ?? (await this.#lastRun());
      const isEnded = await endJob(database, jobId, this.#claim, { ...end, runId });
      logger.info({ jobId, attempt, status: end.status, error: end.error, isEnded }, 'job.ended');
    } finally {
      clearInterval(lease);
      await executor.forget(this.#claimHandle());
    }
  }

  async #attempt(): Promise<JobEnd> {
    const { database } = this.#context;
    const job = await database.trainingJob.findUniqueOrThrow({ where: { id: this.#claim.jobId } });
    // Cancel may have been asked for between the claim and the moment that this attempt began to listen.
    if (job.cancelRequestedAt !== null) throw new Interruption('CANCELLED', job.cancelReason ?? 'cancelled on request');
    using deadline = new Deadline(job.timeoutSeconds * 1000, () =>
      this.#interrupt(new Interruption('TIMED_OUT', `the job did not end within its ${job.timeoutSeconds} s`)),
    );
    const environment = await this.#prepareEnvironment(job);
    await this.#awaitMlflow();
    await this.#makeExperiment(job.experimentName);
    await this.#startScript(job, environment, deadline);
    const exit = await this.#followScript();
    return this.#endOfScript(job, exit);
  }

  async #prepareEnvironment(job: TrainingJob): Promise<PythonEnvironment> {
    const { database, environments } = this.#context;
    const { signal } = this.#interruption;
    await using writer = new EventWriter((events) => this.#append(events));
    const environment = await environments.prepare({
      requirements: job.requirements,
      signal,
      onLine: (text) => writer.add({ type: 'environment', at: new Date().toISOString(), text }),
    });
    const { hash, lock, pythonVersion: python } = environment;
    await database.environment.createMany({ data: [{ hash, lock, python }], skipDuplicates: true });
    await database.trainingJob.update({ where: { id: job.id }, data: { environmentHash: hash } });
    return environment;
  }

  /** A script that starts before the tracking server would only fail: it is held back, within its time limit. */
  async #awaitMlflow(): Promise<void> {
    const { signal } = this.#interruption;
    for (let tries = 0; !(await this.#context.mlflow.isHealthy(signal)); tries += 1) {
      if (tries === 0) await this.#say('Waiting for the MLflow server');
      await new Promise((resolve) => setTimeout(resolve, MLFLOW_POLL_MS));
      signal.throwIfAborted();
    }
  }

  /**
   * MLflow's client looks for the experiment and then makes it, and fails when another was faster in between: scripts that
   * start together in a new experiment would fail each other.
   */
  async #makeExperiment(name: string): Promise<void> {
    const { mlflow } = this.#context;
    const { signal } = this.#interruption;
    await mlflow.getExperimentByName(name, signal).catch(async (error: unknown) => {
      if (!hasCode(error, 'NOT_FOUND')) throw error;
      await mlflow.createExperiment(name, signal).catch((failure: unknown) => {
        if (!hasCode(failure, 'CONFLICT')) throw failure;
      });
    });
  }

  async #startScript(job: TrainingJob, environment: PythonEnvironment, deadline: Deadline): Promise<void> {
    const { database, executor, gatewayUrl } = this.#context;
    const token = await issueJobToken(database, this.#claim.id);
    const spec: RunSpec = {
      scriptName: job.scriptName,
      script: job.script,
      environmentFolder: environment.folder,
      variables: scriptVariables(job, gatewayUrl, token),
      timeoutSeconds: deadline.remainingSeconds,
      graceSeconds: GRACE_SECONDS,
    };
    this.#interruption.signal.throwIfAborted();
    if (!(await moveJob(database, job.id, 'RUNNING', this.#claim))) throw leaseLost();
    await executor.submit(this.#claimHandle(), spec);
    this.#hasScript = true;
    // An interruption that came while it was being started found nothing to end.
    if (this.#interruption.signal.aborted) await executor.cancel(this.#claimHandle());
  }

  /** Stores the script's lines as they come; what is printed while a batch is being stored makes the next one. */
  async #followScript(): Promise<ExitRecord> {
    // Not the interruption's signal: a script that is being ended still prints, and its end is in the frames.
    const lost = new AbortController();
    for await (const frames of this.#context.executor.frames(this.#claimHandle(), lost.signal)) {
      const events = frames.flatMap(logEvent);
      if (events.length > 0 && !(await this.#append(events))) throw leaseLost();
      const last = frames.at(-1);
      if (last !== undefined && 'exit' in last) return last.exit;
    }
    throw new RunnerLostError(this.#claimHandle());
  }

  async #endOfScript(job: TrainingJob, exit: ExitRecord): Promise<JobEnd> {
    const script: ScriptEnd = { ...exit, exitCode: exit.code };
    const { reason } = this.#interruption.signal;
    if (reason instanceof Interruption) return { status: reason.status, error: reason.message, script };
    switch (exit.reason) {
      case 'timed_out':
        return { status: 'TIMED_OUT', error: `the job did not end within its ${job.timeoutSeconds} s`, script };
      case 'cancelled':
        return { status: 'CANCELLED', error: 'the runner was asked to end', script };
      case 'start_failed':
        return { status: 'FAILED', error: `the script could not be started: ${exit.message ?? ''}`, script };
      case 'exited':
        if (exit.code === 0) return { ...(await concludeSuccess(this.#context, job, this.#claim)), script };
        return {
          status: 'FAILED',
          error:
            exit.signal === null
              ? `the script ended with exit code ${exit.code}`
              : `the script was ended by ${exit.signal}`,
          script,
        };
    }
  }

  /** What was thrown becomes the job's end: the user's fault, an interruption, or ours. */
  async #endAfter(error: unknown): Promise<JobEnd> {
    const { jobId } = this.#claim;
    const { reason } = this.#interruption.signal;
    if (reason instanceof Interruption) return { status: reason.status, error: reason.message };
    if (error instanceof Interruption) return { status: error.status, error: error.message };
    if (error instanceof RunnerLostError) return { status: 'LOST', error: error.message };
    if (error instanceof AsgardError) return { status: 'FAILED', error: error.message };
    this.#context.logger.error({ jobId, err: error }, 'job.supervision_failed');
    return { status: 'FAILED', error: `the platform failed while it ran the job: ${messageOf(error)}` };
  }

  #interrupt(interruption: Interruption): void {
    if (this.#interruption.signal.aborted) return;
    this.#interruption.abort(interruption);
    if (this.#hasScript) void this.#context.executor.cancel(this.#claimHandle());
  }

  async #renew(): Promise<void> {
    const { database, logger } = this.#context;
    const isHeld = await renewLease(database, this.#claim.id).catch((error: unknown) => {
      logger.warn({ jobId: this.#claim.jobId, err: error }, 'job.lease_not_renewed');
      return true;
    });
    if (!isHeld) this.#interrupt(leaseLost());
  }

  async #lastRun(): Promise<string | null> {
    const { jobId } = this.#claim;
    const run = await this.#context.database.jobRun.findFirst({ where: { jobId }, orderBy: { id: 'desc' } });
    return run?.runId ?? null;
  }

  #append(events: readonly JobEvent[]): Promise<boolean> {
    return appendEvents(this.#context.database, this.#claim.jobId, events, this.#claim.id);
  }

  async #say(text: string): Promise<void> {
    await this.#append([{ type: 'log', at: new Date().toISOString(), stream: 'platform', text }]);
  }

  #claimHandle() {
    return { jobId: this.#claim.jobId, attempt: this.#claim.number };
  }
}

function leaseLost(): Interruption {
  return new Interruption('LOST', 'this worker no longer holds the job');
}

function logEvent(frame: Frame): JobEvent[] {
  if ('exit' in frame) return [];
  return [{ type: 'log', at: frame.at.toISOString(), stream: frame.stream, text: frame.text }];
}
