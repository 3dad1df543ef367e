import type { Prisma, PrismaClient, TrainingJob } from '../database/generated/client.ts';
import { AsgardError } from '../platform/errors.ts';
import { appendEvents, type DatabaseClient } from './event-store.ts';
import type { JobEvent } from './events.ts';

/** Channel of "a job can be claimed, or will be after a pause", payload its id. */
export const QUEUED_CHANNEL = 'asgard_job_queued';

/** Names the lock under which the queue is counted when it may be full. */
const COUNTING_LOCK = 4_937_001;
/** A count is good for this long while there is room for `MUCH_ROOM` jobs: other platforms do not add so many meanwhile. */
const COUNT_LASTS_MS = 1000;
const MUCH_ROOM = 1000;

/** Prisma's code for a value that is there already, where only one may be. */
const IS_THERE = 'P2002';

/** Takes jobs into the queue, as long as there is room in it. */
export class JobIntake {
  readonly #database: PrismaClient;
  readonly #maxQueued: number;
  /** How many were queued when they were counted last, and how many this process has added since. */
  #count = { queued: 0, added: 0, at: Number.NEGATIVE_INFINITY };

  /** @param maxQueued how many jobs may wait at once, over all platforms on the database */
  constructor(database: PrismaClient, maxQueued = Number.POSITIVE_INFINITY) {
    this.#database = database;
    this.#maxQueued = maxQueued;
  }

  /** The job that was taken with this key, or null. */
  find(idempotencyKey: string): Promise<TrainingJob | null> {
    return this.#database.trainingJob.findUnique({ where: { idempotencyKey } });
  }

  /**
   * Adds the row and its first event, so that a job is never seen without its beginning, and wakes the workers. Of several
   * calls with one idempotency key, one adds it, and all give it.
   * @throws AsgardError QUEUE_FULL
   */
  async take(data: Prisma.TrainingJobUncheckedCreateInput): Promise<TrainingJob> {
    try {
      return await this.#database.$transaction(async (transaction) => {
        await this.#admit(transaction);
        await transaction.trainingJob.create({ data });
        const event: JobEvent = { type: 'status', at: new Date().toISOString(), status: 'QUEUED', attempt: 0 };
        await appendEvents(transaction, data.id, [event]);
        await transaction.$queryRaw`SELECT pg_notify(${QUEUED_CHANNEL}, ${data.id})::text`;
        return transaction.trainingJob.findUniqueOrThrow({ where: { id: data.id } });
      });
    } catch (error) {
      const { idempotencyKey } = data;
      const isThere = error instanceof Error && 'code' in error && error.code === IS_THERE;
      const first = isThere && typeof idempotencyKey === 'string' ? await this.find(idempotencyKey) : null;
      if (first === null) throw error;
      return first;
    }
  }

  /**
   * Counting costs as much as the queue is long, and is exact only while no other call adds to it: so it is done anew for
   * each job, one at a time, only when the queue may soon be full.
   */
  async #admit(transaction: DatabaseClient): Promise<void> {
    const limit = this.#maxQueued;
    if (!Number.isFinite(limit)) return;
    const { queued, added, at } = this.#count;
    if (performance.now() - at < COUNT_LASTS_MS && queued + added < limit - MUCH_ROOM) {
      this.#count.added += 1;
      return;
    }
    await transaction.$queryRaw`SELECT pg_advisory_xact_lock(${COUNTING_LOCK}::int)::text`;
    const [counted] = await transaction.$queryRaw<{ queued: number }[]>`
      SELECT count(*)::int AS queued FROM (SELECT FROM training_jobs WHERE status = 'QUEUED' LIMIT ${limit}::int) AS queue`;
    const now = counted?.queued ?? 0;
    this.#count = { queued: now, added: 1, at: performance.now() };
    if (now < limit) return;
    const message = `the queue is full: ${limit} jobs wait already. Hand the job in again later, or cancel some of those`;
    throw new AsgardError('QUEUE_FULL', message);
  }
}
