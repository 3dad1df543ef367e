import type { JobAttempt, Prisma, PrismaClient, TrainingJob } from '../database/generated/client.ts';
import type { JobStatus } from '../database/generated/enums.ts';
import { type AttemptGuard, appendEvents, type DatabaseClient } from './event-store.ts';
import type { JobEvent, OutputProof, ScriptEnd } from './events.ts';
import { QUEUED_CHANNEL } from './intake.ts';
import { keptOutput } from './output-store.ts';
import { isRetried, pauseSecondsAfter } from './retries.ts';
import { sourcesOf, type TerminalStatus } from './states.ts';

/** SHA-256 of nothing: the proof of a script that printed nothing or never started. */
const NO_OUTPUT: OutputProof = {
  lines: 0,
  bytes: 0,
  sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
};

/** How an attempt ends, and with the last one its job. `error` says why it did not complete. */
export interface JobEnd {
  readonly status: TerminalStatus;
  readonly error?: string;
  /** Whether what the script stands on failed, rather than the script: its machine, the database, MLflow, a package index. */
  readonly isInfrastructure?: boolean;
  readonly runId?: string | null;
  readonly modelVersion?: string | null;
  /** Absent when nobody saw how it ended: then all that is known of its output is what was stored. */
  readonly script?: ScriptEnd;
  /** What the script's processes used, as far as the runner saw it. */
  readonly usage?: { readonly maxRssBytes: number; readonly cpuSeconds: number };
  /** What the platform says last in the attempt's log: written with the end, so that it stands there once. */
  readonly lastLines?: readonly string[];
}

/** An attempt in whose name a job is moved: nothing is written once it has ended, or is another worker's. */
export type NamedAttempt = AttemptGuard & Pick<JobAttempt, 'number'>;

/**
 * Moves a job and its attempt on, with the event, in one transaction. This, `endAttempt`, `endJob` and the claim are the only
 * places that write a status.
 * @returns whether the move was made; false when the job's status does not allow it, or the attempt is not the caller's
 */
export async function moveJob(
  database: PrismaClient,
  jobId: string,
  status: JobStatus,
  attempt: NamedAttempt,
): Promise<boolean> {
  return database.$transaction(async (transaction) => {
    const moved = await writeStatus(transaction, jobId, status, attempt, {});
    if (!moved) return false;
    await transaction.jobAttempt.update({ where: { id: attempt.id }, data: { status } });
    const event: JobEvent = { type: 'status', at: new Date().toISOString(), status, attempt: attempt.number };
    return appendEvents(transaction, jobId, [event], attempt);
  });
}

/**
 * Ends an attempt, in one transaction: its job goes back into the queue when it has a retry for such an end, else it ends.
 * @returns what became of the job; null when the attempt is not the caller's, or not open any more
 */
export async function endAttempt(
  database: PrismaClient,
  jobId: string,
  attempt: NamedAttempt,
  end: JobEnd,
): Promise<'ended' | 'retried' | null> {
  return database.$transaction(async (transaction) => {
    if (!(await holdAttempt(transaction, attempt))) return null;
    // Locked, so that a cancel comes before the look or finds the job in the queue.
    const [job] = await transaction.$queryRaw<Pick<TrainingJob, 'retries' | 'retryOn' | 'cancelRequestedAt'>[]>`
      SELECT retries, retry_on AS "retryOn", cancel_requested_at AS "cancelRequestedAt" FROM training_jobs
      WHERE id = ${jobId} FOR NO KEY UPDATE`;
    if (job !== undefined && isRetried(job, attempt.number, end)) {
      return (await putBack(transaction, jobId, attempt, end, job.retries)) ? 'retried' : null;
    }
    return (await finish(transaction, jobId, attempt, end)) ? 'ended' : null;
  });
}

/**
 * Ends a job for good: its terminal status, its last two events, and its open attempt, in one transaction.
 * @param attempt as for `moveJob`; null for a queued job
 * @returns whether it was ended by this call
 */
export async function endJob(
  database: PrismaClient,
  jobId: string,
  attempt: NamedAttempt | null,
  end: JobEnd,
): Promise<boolean> {
  return database.$transaction((transaction) => finish(transaction, jobId, attempt, end));
}

async function finish(
  transaction: DatabaseClient,
  jobId: string,
  attempt: NamedAttempt | null,
  end: JobEnd,
): Promise<boolean> {
  const now = new Date();
  const at = now.toISOString();
  const { status, error = null, runId = null, modelVersion = null } = end;
  if (!(await writeStatus(transaction, jobId, status, attempt, { error, runId, modelVersion, notBefore: null }))) {
    return false;
  }
  const script = end.script ?? (await unseenEnd(transaction, jobId, attempt));
  const number = attempt?.number ?? (await transaction.jobAttempt.count({ where: { jobId } }));
  await appendEvents(
    transaction,
    jobId,
    [
      ...linesAt(at, end.lastLines),
      { type: 'status', at, status, attempt: number, ...(error === null ? {} : { reason: error }) },
      { type: 'end', at, status, ...script },
    ],
    attempt ?? undefined,
  );
  await transaction.trainingJob.update({ where: { id: jobId }, data: { completedAt: now } });
  if (attempt !== null) await close(transaction, jobId, attempt, { ...end, script }, now);
  return true;
}

/** Puts a job back into the queue for its next attempt, after a pause. */
async function putBack(
  transaction: DatabaseClient,
  jobId: string,
  attempt: NamedAttempt,
  end: JobEnd,
  retries: number,
): Promise<boolean> {
  const now = new Date();
  const at = now.toISOString();
  const { status, error = 'it failed' } = end;
  const { number } = attempt;
  if (!(await writeStatus(transaction, jobId, 'QUEUED', attempt, {}))) return false;
  const script = end.script ?? (await unseenEnd(transaction, jobId, attempt));
  const seconds = pauseSecondsAfter(number);
  await transaction.$executeRaw`
    UPDATE training_jobs SET not_before = now() + make_interval(secs => ${seconds}::float8) WHERE id = ${jobId}`;
  const what = `Attempt ${number} of at most ${retries + 1} ended: ${status}: ${error}`;
  await appendEvents(
    transaction,
    jobId,
    [
      ...linesAt(at, [...(end.lastLines ?? []), `${what}. The next one begins in ${seconds.toFixed(1)} s or later`]),
      { type: 'attempt', at, attempt: number, status, error, ...script },
      { type: 'status', at, status: 'QUEUED', attempt: number, reason: error },
    ],
    attempt,
  );
  await close(transaction, jobId, attempt, { ...end, script }, now);
  await transaction.$queryRaw`SELECT pg_notify(${QUEUED_CHANNEL}, ${jobId})::text`;
  return true;
}

function linesAt(at: string, lines: readonly string[] = []): JobEvent[] {
  return lines.map((text) => ({ type: 'log', at, stream: 'platform', text }));
}

/** After the attempt's last event. */
async function close(
  transaction: DatabaseClient,
  jobId: string,
  { id }: NamedAttempt,
  end: JobEnd & Required<Pick<JobEnd, 'script'>>,
  endedAt: Date,
): Promise<void> {
  const { status, error = null, usage } = end;
  const { exitCode, signal } = end.script;
  const { lastSequence } = await transaction.trainingJob.findUniqueOrThrow({
    where: { id: jobId },
    select: { lastSequence: true },
  });
  const used = usage && { maxRssBytes: BigInt(usage.maxRssBytes), cpuSeconds: usage.cpuSeconds };
  const data = { endedAt, status, error, exitCode, signal, lastSequence, ...used };
  await transaction.jobAttempt.update({ where: { id }, data });
}

async function unseenEnd(transaction: DatabaseClient, jobId: string, attempt: NamedAttempt | null): Promise<ScriptEnd> {
  const kept = attempt === null ? NO_OUTPUT : await keptOutput(transaction, { id: attempt.id, jobId });
  return { exitCode: null, signal: null, ...kept, kept };
}

async function writeStatus(
  transaction: DatabaseClient,
  jobId: string,
  status: JobStatus,
  attempt: AttemptGuard | null,
  data: Prisma.TrainingJobUncheckedUpdateManyInput,
): Promise<boolean> {
  // Before the job's own row, as when events are appended: two that lock both in the same order cannot deadlock.
  if (attempt !== null && !(await holdAttempt(transaction, attempt))) return false;
  const { count } = await transaction.trainingJob.updateMany({
    where: {
      id: jobId,
      // PostgreSQL checks the row itself anew after waiting for another writer, not what it is joined to: a job without an
      // attempt is told by its own status, else one that was just claimed could be ended with its attempt left open.
      ...(attempt === null ? { status: 'QUEUED' } : { status: { in: sourcesOf(status) } }),
    },
    data: { ...data, status },
  });
  return count === 1;
}

/** Locks the attempt, so that no other worker takes it over meanwhile. @returns whether it is open, and the caller's */
async function holdAttempt(transaction: DatabaseClient, { id, workerId }: AttemptGuard): Promise<boolean> {
  const worker = workerId ?? null;
  const held = await transaction.$queryRaw<unknown[]>`
    SELECT FROM job_attempts WHERE id = ${id} AND ended_at IS NULL
      AND (${worker}::text IS NULL OR worker_id = ${worker}::text) FOR UPDATE`;
  return held.length > 0;
}
