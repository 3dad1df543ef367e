import type { JobAttempt, Prisma, PrismaClient } from '../database/generated/client.ts';
import type { JobStatus } from '../database/generated/enums.ts';
import { type AttemptGuard, appendEvents, type DatabaseClient } from './event-store.ts';
import type { JobEvent, OutputProof, ScriptEnd } from './events.ts';
import { keptOutput } from './output-store.ts';
import { sourcesOf, type TerminalStatus } from './states.ts';

/** SHA-256 of nothing: the proof of a script that printed nothing or never started. */
const NO_OUTPUT: OutputProof = {
  lines: 0,
  bytes: 0,
  sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
};

/** How a job ends. `error` says why it did not complete. */
export interface JobEnd {
  readonly status: TerminalStatus;
  readonly error?: string;
  readonly runId?: string | null;
  readonly modelVersion?: string | null;
  /** Absent when nobody saw how it ended: then all that is known of its output is what was stored. */
  readonly script?: ScriptEnd;
  /** What the platform says last in the job's log: written with the end, so that it stands there once. */
  readonly lastLines?: readonly string[];
}

/** An attempt in whose name a job is moved: nothing is written once it has ended, or is another worker's. */
export type NamedAttempt = AttemptGuard & Pick<JobAttempt, 'number'>;

/**
 * Moves a job, with its event, in one transaction. This, `endJob` and the claim are the only places that write a status.
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
    const event: JobEvent = { type: 'status', at: new Date().toISOString(), status, attempt: attempt.number };
    return appendEvents(transaction, jobId, [event], attempt);
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
  const now = new Date();
  const at = now.toISOString();
  const { status, error = null } = end;
  return database.$transaction(async (transaction) => {
    const moved = await writeStatus(transaction, jobId, status, attempt, {
      error,
      runId: end.runId ?? null,
      modelVersion: end.modelVersion ?? null,
    });
    if (!moved) return false;
    const script = end.script ?? (await unseenEnd(transaction, jobId, attempt));
    await appendEvents(
      transaction,
      jobId,
      [
        ...(end.lastLines ?? []).map((text) => ({ type: 'log', at, stream: 'platform', text }) as const),
        { type: 'status', at, status, attempt: attempt?.number ?? 0, ...(error === null ? {} : { reason: error }) },
        { type: 'end', at, status, ...script },
      ],
      attempt ?? undefined,
    );
    await transaction.trainingJob.update({ where: { id: jobId }, data: { completedAt: now } });
    if (attempt !== null) {
      const { exitCode, signal } = script;
      await transaction.jobAttempt.update({ where: { id: attempt.id }, data: { endedAt: now, exitCode, signal } });
    }
    return true;
  });
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
