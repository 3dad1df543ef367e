import { type JobAttempt, Prisma, type PrismaClient } from '../database/generated/client.ts';
import { appendEvents } from './event-store.ts';

/** A worker that has not renewed for this long has lost its jobs. */
export const LEASE_SECONDS = 30;
/** Attempts that one look takes over at most. */
const MAX_TAKEN_OVER = 100;

/** What a worker holds after a claim. Bigint ids travel between threads as they are. */
export type Claim = Pick<JobAttempt, 'id' | 'jobId' | 'number' | 'workerId' | 'place'> & {
  /** Whether another worker, or this one before the database was away, has begun the attempt. */
  readonly isTakenOver: boolean;
};

/** A claim of a queued job, and how long that was in the queue. */
export type NewClaim = Claim & { readonly queuedSeconds: number };

/** Who claims: a process's own id, the machine it is on, and where on it new runs go. */
export interface Worker {
  readonly id: string;
  readonly machine: string;
  /** No two live workers of one machine have the same. */
  readonly place: string;
  /** Of the place, whatever the machine is called, and whichever path leads to it. */
  readonly placeId: string;
}

/** Whether an attempt's run is in the worker's own place. One that began before places had ids has none. */
function isInPlace({ place, placeId }: Pick<Worker, 'place' | 'placeId'>): Prisma.Sql {
  return Prisma.sql`(place_id = ${placeId} OR (place_id = '' AND place = ${place}))`;
}

/** Whether a worker sees what an attempt has on its machine. */
function isInReach(worker: Omit<Worker, 'id'>): Prisma.Sql {
  return Prisma.sql`(machine = ${worker.machine} OR ${isInPlace(worker)})`;
}

/**
 * Takes up to `limit` queued jobs, those of the highest priority and of these the oldest first, each with a new attempt and its
 * lease, in one transaction.
 *
 * `FOR UPDATE SKIP LOCKED` lets any number of workers claim at once without waiting for each other or taking the same
 * job: a row that another worker is claiming is passed over. The partial index on queued jobs keeps the scan to rows
 * that can be claimed, however many jobs have ended.
 */
export async function claimJobs(database: PrismaClient, worker: Worker, limit: number): Promise<NewClaim[]> {
  return database.$transaction(async (transaction) => {
    const claims = await transaction.$queryRaw<NewClaim[]>`
      WITH next AS (
        SELECT id FROM training_jobs WHERE status = 'QUEUED' AND not_before IS NULL
        ORDER BY priority DESC, created_at, id LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
      ), claimed AS (
        UPDATE training_jobs SET status = 'PREPARING', started_at = coalesce(started_at, now())
        FROM next WHERE training_jobs.id = next.id RETURNING training_jobs.id, last_sequence
      )
      INSERT INTO job_attempts (job_id, number, worker_id, machine, place, place_id, lease_expires_at, first_sequence)
      SELECT id, 1 + (SELECT count(*) FROM job_attempts WHERE job_id = claimed.id), ${worker.id}, ${worker.machine},
        ${worker.place}, ${worker.placeId}, now() + make_interval(secs => ${LEASE_SECONDS}::int), last_sequence + 1
      FROM claimed RETURNING id, job_id AS "jobId", number, worker_id AS "workerId", place, false AS "isTakenOver",
        (SELECT extract(epoch FROM now() - coalesce((SELECT max(ended_at) FROM job_attempts WHERE job_id = training_jobs.id),
          created_at))::float8 FROM training_jobs WHERE id = job_id) AS "queuedSeconds"`;
    const at = new Date().toISOString();
    for (const claim of claims) {
      const event = { type: 'status', at, status: 'PREPARING', attempt: claim.number } as const;
      await appendEvents(transaction, claim.jobId, [event], claim);
    }
    return claims;
  });
}

/**
 * Lets jobs be claimed whose pause before their next attempt is over.
 * @returns the seconds until the next pause is over; null when no job makes one
 */
export async function endPauses(database: PrismaClient): Promise<number | null> {
  const [next] = await database.$queryRaw<{ seconds: number | null }[]>`
    WITH over AS (
      SELECT id FROM training_jobs WHERE status = 'QUEUED' AND not_before <= now() FOR UPDATE SKIP LOCKED
    ), ready AS (
      UPDATE training_jobs SET not_before = NULL FROM over WHERE training_jobs.id = over.id
    )
    SELECT extract(epoch FROM min(not_before) - now())::float8 AS seconds
    FROM training_jobs WHERE status = 'QUEUED' AND not_before > now()`;
  return next?.seconds ?? null;
}

/**
 * Takes over attempts that their workers hold no longer: those whose lease has expired, and those of earlier workers of the
 * machine in `worker.place`, which is one worker's at a time. A run that may have been started stays where it is, so only a
 * worker on its machine or in its place takes it; one whose environment was still being prepared goes on wherever the worker
 * is. A place that is seen from another machine than before may be a copy: there its lease is waited for.
 *
 * `FOR UPDATE SKIP LOCKED`: of several workers that look at once, each gets others, and none waits.
 * @param held the jobs that the worker has in hand: a lease of its own that expired while the database was away is renewed
 * @param takesPreparing whether also attempts whose environment was being prepared
 */
export async function takeOverAttempts(
  database: PrismaClient,
  worker: Worker,
  held: readonly string[],
  takesPreparing = true,
): Promise<Claim[]> {
  return database.$queryRaw<Claim[]>`
    WITH abandoned AS (
      SELECT job_attempts.id, training_jobs.status = 'PREPARING' OR ${isInPlace(worker)} AS is_in_place FROM job_attempts JOIN training_jobs ON training_jobs.id = job_id
      WHERE ended_at IS NULL AND completed_at IS NULL AND NOT job_id = ANY(${held})
        AND (lease_expires_at < now()
          OR (machine = ${worker.machine} AND place = ${worker.place} AND place_id = ${worker.placeId}))
        AND CASE training_jobs.status WHEN 'PREPARING' THEN ${takesPreparing} ELSE ${isInReach(worker)} END
      ORDER BY job_attempts.id LIMIT ${MAX_TAKEN_OVER}::int FOR UPDATE OF job_attempts SKIP LOCKED
    )
    UPDATE job_attempts SET worker_id = ${worker.id}, lease_expires_at = now() + make_interval(secs => ${LEASE_SECONDS}::int),
      machine = CASE WHEN is_in_place THEN ${worker.machine} ELSE machine END,
      place = CASE WHEN is_in_place THEN ${worker.place} ELSE place END,
      place_id = CASE WHEN is_in_place THEN ${worker.placeId} ELSE place_id END
    FROM abandoned WHERE job_attempts.id = abandoned.id
    RETURNING job_attempts.id, job_id AS "jobId", number, worker_id AS "workerId", place, true AS "isTakenOver"`;
}

/**
 * Renews the lease of an attempt, and looks whether its job is to be cancelled: a notification may have been lost.
 * @returns null when the attempt has ended or another worker has taken it over: the worker holds the job no longer
 */
export async function renewLease(
  database: PrismaClient,
  { id, workerId }: Pick<Claim, 'id' | 'workerId'>,
): Promise<{ cancelReason: string | null } | null> {
  const renewed = await database.$queryRaw<{ cancelReason: string | null }[]>`
    UPDATE job_attempts SET lease_expires_at = now() + make_interval(secs => ${LEASE_SECONDS}::int)
    FROM training_jobs WHERE job_attempts.id = ${id} AND worker_id = ${workerId} AND ended_at IS NULL
      AND training_jobs.id = job_id
    RETURNING cancel_reason AS "cancelReason"`;
  return renewed[0] ?? null;
}

/** Gives an attempt up: the next worker that may take it over need not wait for its lease to expire. */
export async function releaseAttempt(
  database: PrismaClient,
  { id, workerId }: Pick<Claim, 'id' | 'workerId'>,
): Promise<void> {
  await database.$executeRaw`
    UPDATE job_attempts SET lease_expires_at = now() - interval '1 second' WHERE id = ${id} AND worker_id = ${workerId}`;
}

/** How long ago an attempt began, by the database's clock, and how much of its spool is stored. */
export async function attemptSoFar(
  database: PrismaClient,
  id: bigint,
): Promise<{ ageSeconds: number; framesStored: number }> {
  const [attempt] = await database.$queryRaw<{ ageSeconds: number; framesStored: number }[]>`
    SELECT extract(epoch FROM now() - started_at)::float8 AS "ageSeconds", frames_stored AS "framesStored"
    FROM job_attempts WHERE id = ${id}`;
  if (attempt === undefined) throw new Error(`there is no attempt ${id}`);
  return attempt;
}

/**
 * Open attempts out of the worker's reach of which nothing was heard for `seconds` since their lease expired, by the database's
 * clock: what is in reach is gone on with, however long nobody looked after it. Of a job that has ended already, all whose
 * lease has expired; `isInReach` tells whether what they left can be removed, in `place`.
 */
export async function silentAttempts(
  database: PrismaClient,
  seconds: number,
  worker: Omit<Worker, 'id'>,
): Promise<(Pick<JobAttempt, 'id' | 'jobId' | 'number' | 'workerId' | 'place'> & { isInReach: boolean })[]> {
  return database.$queryRaw`
    SELECT job_attempts.id, job_id AS "jobId", number, worker_id AS "workerId",
      CASE WHEN ${isInPlace(worker)} THEN ${worker.place} ELSE place END AS place, ${isInReach(worker)} AS "isInReach"
    FROM job_attempts JOIN training_jobs ON training_jobs.id = job_id
    WHERE ended_at IS NULL AND (completed_at IS NOT NULL OR NOT ${isInReach(worker)}) AND lease_expires_at
      < now() - make_interval(secs => CASE WHEN completed_at IS NULL THEN ${seconds}::int ELSE 0 END)
    ORDER BY job_attempts.id LIMIT 100`;
}

/**
 * Whether an attempt lasts and its worker has been silent for longer than a lease after its lease expired: no worker of its
 * machine is there to take it over.
 */
export function isUnreachable(
  { endedAt, leaseExpiresAt }: Pick<JobAttempt, 'endedAt' | 'leaseExpiresAt'>,
  now: Date,
): boolean {
  return endedAt === null && leaseExpiresAt.getTime() + LEASE_SECONDS * 1000 < now.getTime();
}

/** Ends an attempt if its job has ended already. */
export async function closeAttempt(database: PrismaClient, attemptId: bigint): Promise<void> {
  await database.$executeRaw`
    UPDATE job_attempts SET ended_at = now(), status = training_jobs.status, error = training_jobs.error,
      last_sequence = training_jobs.last_sequence
    FROM training_jobs WHERE job_attempts.id = ${attemptId} AND ended_at IS NULL AND training_jobs.id = job_id
      AND completed_at IS NOT NULL`;
}
