import type { JobAttempt, PrismaClient } from '../database/generated/client.ts';
import { appendEvents } from './event-store.ts';

/** A worker that has not renewed for this long has lost its jobs. */
export const LEASE_SECONDS = 30;

/** What a worker holds after a claim. Bigint ids travel between threads as they are. */
export type Claim = Pick<JobAttempt, 'id' | 'jobId' | 'number'>;

/** A claim, and how long its job was in the queue. */
export type NewClaim = Claim & { readonly queuedSeconds: number };

/**
 * Takes up to `limit` queued jobs, oldest first, each with a new attempt and its lease, in one transaction.
 *
 * `FOR UPDATE SKIP LOCKED` lets any number of workers claim at once without waiting for each other or taking the same
 * job: a row that another worker is claiming is passed over. The partial index on queued jobs keeps the scan to rows
 * that can be claimed, however many jobs have ended.
 */
export async function claimJobs(database: PrismaClient, workerId: string, limit: number): Promise<NewClaim[]> {
  return database.$transaction(async (transaction) => {
    const claims = await transaction.$queryRaw<NewClaim[]>`
      WITH next AS (
        SELECT id FROM training_jobs WHERE status = 'QUEUED'
        ORDER BY created_at, id LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
      ), claimed AS (
        UPDATE training_jobs SET status = 'PREPARING', started_at = coalesce(started_at, now())
        FROM next WHERE training_jobs.id = next.id RETURNING training_jobs.id
      )
      INSERT INTO job_attempts (job_id, number, worker_id, lease_expires_at)
      SELECT id, 1 + (SELECT count(*) FROM job_attempts WHERE job_id = claimed.id), ${workerId},
        now() + make_interval(secs => ${LEASE_SECONDS}::int)
      FROM claimed RETURNING id, job_id AS "jobId", number,
        (SELECT extract(epoch FROM now() - created_at)::float8 FROM training_jobs WHERE id = job_id) AS "queuedSeconds"`;
    const at = new Date().toISOString();
    for (const claim of claims) {
      const event = { type: 'status', at, status: 'PREPARING', attempt: claim.number } as const;
      await appendEvents(transaction, claim.jobId, [event], claim.id);
    }
    return claims;
  });
}

/**
 * Renews the lease of an attempt, and looks whether its job is to be cancelled: a notification may have been lost.
 * @returns null when the attempt has ended: the worker holds the job no longer
 */
export async function renewLease(
  database: PrismaClient,
  attemptId: bigint,
): Promise<{ cancelReason: string | null } | null> {
  const renewed = await database.$queryRaw<{ cancelReason: string | null }[]>`
    UPDATE job_attempts SET lease_expires_at = now() + make_interval(secs => ${LEASE_SECONDS}::int)
    FROM training_jobs WHERE job_attempts.id = ${attemptId} AND ended_at IS NULL AND training_jobs.id = job_id
    RETURNING cancel_reason AS "cancelReason"`;
  return renewed[0] ?? null;
}

/** Open attempts whose worker stopped renewing, by the database's clock. */
export async function expiredAttempts(database: PrismaClient): Promise<(Claim & { workerId: string })[]> {
  return database.$queryRaw`
    SELECT id, job_id AS "jobId", number, worker_id AS "workerId" FROM job_attempts
    WHERE ended_at IS NULL AND lease_expires_at < now() ORDER BY id LIMIT 100`;
}

/** Ends an attempt whose job has ended already. */
export async function closeAttempt(database: PrismaClient, attemptId: bigint): Promise<void> {
  await database.jobAttempt.updateMany({ where: { id: attemptId, endedAt: null }, data: { endedAt: new Date() } });
}
