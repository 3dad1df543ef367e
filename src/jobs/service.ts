import { randomBytes } from 'node:crypto';
import type { PrismaClient, TrainingJob } from '../database/generated/client.ts';
import { AsgardError } from '../platform/errors.ts';
import { readEvents } from './event-store.ts';
import { isTerminal } from './states.ts';
import type { JobSubmission } from './submission.ts';
import { endJob, insertJob } from './transitions.ts';

/** Channel of "cancel was asked for", payload the job's id. */
export const CANCEL_CHANNEL = 'asgard_job_cancel';

const LOG_PAGE_EVENTS = 5000;

/** Jobs as their users see them: hand in, look up, cancel. */
export class JobService {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /** Stores a job QUEUED and wakes the workers. Returns at once; the job's events tell the rest. */
  submit(submission: JobSubmission): Promise<TrainingJob> {
    return insertJob(this.#database, { id: randomBytes(8).toString('hex'), ...submission });
  }

  /** @throws AsgardError NOT_FOUND */
  async get(id: string): Promise<TrainingJob> {
    const job = await this.#database.trainingJob.findUnique({ where: { id } });
    if (job === null) throw new AsgardError('NOT_FOUND', `there is no job "${id}"`);
    return job;
  }

  /**
   * Asks for a job's end. A queued job is CANCELLED when this returns; a running one gets the request, and ends once
   * its processes have. Asking again changes nothing.
   * @throws AsgardError NOT_FOUND; CONFLICT when the job had ended in another way
   */
  async cancel(id: string, reason = 'cancelled on request'): Promise<TrainingJob> {
    const { count } = await this.#database.trainingJob.updateMany({
      where: { id, cancelRequestedAt: null, completedAt: null },
      data: { cancelRequestedAt: new Date(), cancelReason: reason },
    });
    // False when a worker has claimed the job: then that worker ends it.
    const wasQueued = count === 1 && (await endJob(this.#database, id, null, { status: 'CANCELLED', error: reason }));
    if (count === 1 && !wasQueued) await this.#database.$queryRaw`SELECT pg_notify(${CANCEL_CHANNEL}, ${id})::text`;
    const job = await this.get(id);
    if (isTerminal(job.status) && job.status !== 'CANCELLED') {
      throw new AsgardError('CONFLICT', `job "${id}" has already ended: it is ${job.status}`);
    }
    return job;
  }

  /** How many jobs wait and how many are being worked on. */
  async counts(): Promise<{ queued: number; running: number }> {
    const groups = await this.#database.trainingJob.groupBy({
      by: ['status'],
      where: { status: { in: ['QUEUED', 'PREPARING', 'RUNNING'] } },
      _count: true,
    });
    const of = (status: string) => groups.find((group) => group.status === status)?._count ?? 0;
    return { queued: of('QUEUED'), running: of('PREPARING') + of('RUNNING') };
  }

  /**
   * The job's whole log so far as text: what was printed while its environment was prepared, the script's lines of both
   * streams in the order of their numbers, and the platform's own; each line ends with a line feed.
   * @throws AsgardError NOT_FOUND
   */
  async logText(id: string): Promise<string> {
    await this.get(id);
    const lines: string[] = [];
    for (let after = 0; ; ) {
      const events = await readEvents(this.#database, id, after, LOG_PAGE_EVENTS);
      for (const event of events)
        if (event.type === 'log' || event.type === 'environment') lines.push(event.text, '\n');
      if (events.length < LOG_PAGE_EVENTS) return lines.join('');
      after = events.at(-1)?.sequence ?? after;
    }
  }
}
