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
 * Moves a job and its attempt on, with the event, in one transaction. This, `endAttempt`, `endQueuedJob` and the claim are
 * the only places that write a status.
 * @returns whether the move was made; false when the job's status does not allow it, or the attempt is not the caller's
 */
export async function moveJob(
  database: PrismaClient,
  jobId: string,
  status: JobStatus,
  attempt: NamedAttempt,
): Promise<boolean> {
  const worker = attempt.workerId ?? null;
  return database.$transaction(async (transaction) => {
    // The attempt is locked before the job's row, as when events are appended: two that lock both cannot deadlock.
    const moved = await transaction.$executeRaw`
      WITH held AS (
        SELECT FROM job_attempts WHERE id = ${attempt.id} AND ended_at IS NULL
          AND (${worker}::text IS NULL OR worker_id = ${worker}::text) FOR UPDATE
      ), moved AS (
        UPDATE training_jobs SET status = ${status}::"JobStatus"
        WHERE id = ${jobId} AND status::text = ANY(${sourcesOf(status)}) AND EXISTS (SELECT FROM held) RETURNING id
      )
      UPDATE job_attempts SET status = ${status}::"JobStatus" FROM moved WHERE job_attempts.id = ${attempt.id}`;
    if (moved === 0) return false;
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
    const job = await holdAttempt(transaction, attempt);
    if (job === undefined) return null;
    if (isRetried(job, attempt.number, end)) {
      return (await putBack(transaction, jobId, attempt, end, job.retries)) ? 'retried' : null;
    }
    return (await finish(transaction, jobId, attempt, end)) ? 'ended' : null;
  });
}

/**
 * Ends a queued job for good: its terminal status and its last two events, in one transaction.
 * @returns whether it was ended by this call
 */
export async function endQueuedJob(database: PrismaClient, jobId: string, end: JobEnd): Promise<boolean> {
  return database.$transaction((transaction) => finish(transaction, jobId, null, end));
}

/** @param attempt the caller holds it; null for a queued job */
async function finish(
  transaction: DatabaseClient,
  jobId: string,
  attempt: NamedAttempt | null,
  end: JobEnd,
): Promise<boolean> {
  const now = new Date();
  const at = now.toISOString();
  const { status, error = null, runId = null, modelVersion = null } = end;
  // PostgreSQL checks the row itself anew after waiting for another writer, not what it is joined to: a job without an
  // attempt is told by its own status, else one that was just claimed could be ended with its attempt left open.
  const sources: JobStatus[] = attempt === null ? ['QUEUED'] : sourcesOf(status);
  const data = { error, runId, modelVersion, notBefore: null };
  if (!(await writeStatus(transaction, jobId, sources, { ...data, status }))) return false;
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
  await transaction.trainingJob.updateMany({ where: { id: jobId }, data: { completedAt: now } });
  if (attempt !== null) await close(transaction, attempt, { ...end, script }, now);
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
  if (!(await writeStatus(transaction, jobId, sourcesOf('QUEUED'), { status: 'QUEUED' }))) return false;
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
  await close(transaction, attempt, { ...end, script }, now);
  await transaction.$queryRaw`SELECT pg_notify(${QUEUED_CHANNEL}, ${jobId})::text`;
  return true;
}

function linesAt(at: string, lines: readonly string[] = []): JobEvent[] {
  return lines.map((text) => ({ type: 'log', at, stream: 'platform', text }));
}

/** After the attempt's last event. */
async function close(
  transaction: DatabaseClient,
  { id }: NamedAttempt,
  end: JobEnd & Required<Pick<JobEnd, 'script'>>,
  endedAt: Date,
): Promise<void> {
  const { status, error = null, usage } = end;
  const { exitCode, signal } = end.script;
  await transaction.$executeRaw`
    UPDATE job_attempts SET ended_at = ${endedAt}::timestamptz, status = ${status}::"JobStatus", error = ${error}, exit_code = ${exitCode}::int,
      signal = ${signal}, max_rss_bytes = ${usage?.maxRssBytes ?? null}::bigint, cpu_seconds = ${usage?.cpuSeconds ?? null}::float8,
      last_sequence = training_jobs.last_sequence
    FROM training_jobs WHERE job_attempts.id = ${id} AND training_jobs.id = job_id`;
}

async function unseenEnd(transaction: DatabaseClient, jobId: string, attempt: NamedAttempt | null): Promise<ScriptEnd> {
  const kept = attempt === null ? NO_OUTPUT : await keptOutput(transaction, { id: attempt.id, jobId });
  return { exitCode: null, signal: null, ...kept, kept };
}

async function writeStatus(
  transaction: DatabaseClient,
  id: string,
  sources: JobStatus[],
  data: Prisma.TrainingJobUncheckedUpdateManyInput,
): Promise<boolean> {
  const { count } = await transaction.trainingJob.updateMany({ where: { id, status: { in: sources } }, data });
  return count === 1;
}

/**
 * Locks the attempt, so that no other worker takes it over meanwhile, and then its job, so that a cancel comes before the
 * look or finds the job in the queue.
 * @returns undefined when it is not open, or not the caller's
 */
async function holdAttempt(
  transaction: DatabaseClient,
  { id, workerId }: AttemptGuard,
): Promise<Pick<TrainingJob, 'retries' | 'retryOn' | 'cancelRequestedAt'> | undefined> {
  const worker = workerId ?? null;
  const [job] = await transaction.$queryRaw<Pick<TrainingJob, 'retries' | 'retryOn' | 'cancelRequestedAt'>[]>`
    WITH held AS (
      SELECT job_id FROM job_attempts WHERE id = ${id} AND ended_at IS NULL
        AND (${worker}::text IS NULL OR worker_id = ${worker}::text) FOR UPDATE
    )
    SELECT retries, retry_on AS "retryOn", cancel_requested_at AS "cancelRequestedAt" FROM training_jobs
    WHERE id = (SELECT job_id FROM held) FOR NO KEY UPDATE`;
  return job;
}
