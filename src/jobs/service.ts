import type { PrismaClient, TrainingJob } from '../database/generated/client.ts';
import { AsgardError, invalidInput } from '../platform/errors.ts';
import { readLogTail } from './event-store.ts';
import { checkJobId, newJobId, noSuchJob } from './job-id.ts';
import { type JobListOptions, listJobs } from './job-list.ts';
import { isTerminal } from './states.ts';
import type { JobSubmission } from './submission.ts';
import { endJob, insertJob } from './transitions.ts';

/** Channel of "cancel was asked for", payload the job's id. */
export const CANCEL_CHANNEL = 'asgard_job_cancel';

const MAX_LOG_CHARACTERS = 8 * 1024 * 1024;
const MAX_REASON = 1000;

/** Jobs as their users see them: hand in, look up, cancel. */
export class JobService {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /** Stores a job QUEUED and wakes the workers. Returns at once; the job's events tell the rest. */
  submit(submission: JobSubmission): Promise<TrainingJob> {
    return insertJob(this.#database, { id: newJobId(), ...submission });
  }

  /** @throws AsgardError NOT_FOUND */
  async get(id: string): Promise<TrainingJob> {
    checkJobId(id);
    const job = await this.#database.trainingJob.findUnique({ where: { id } });
    if (job === null) throw noSuchJob(id);
    return job;
  }

  /**
   * Asks for a job's end. A queued job is CANCELLED when this returns; a running one gets the request, and ends once
   * its processes have. Asking again changes nothing, but tells the worker again.
   * @throws AsgardError NOT_FOUND; CONFLICT when the job had ended in another way; INVALID_INPUT for a bad reason
   */
  async cancel(id: string, reason = 'cancelled on request'): Promise<TrainingJob> {
    checkJobId(id);
    if (reason.length > MAX_REASON || reason.includes('\0') || !reason.isWellFormed()) {
      throw invalidInput(['reason'], `must be text of at most ${MAX_REASON} characters, without NUL`);
    }
    await this.#database.trainingJob.updateMany({
      where: { id, cancelRequestedAt: null, completedAt: null },
      data: { cancelRequestedAt: new Date(), cancelReason: reason },
    });
    // False when a worker has claimed the job: then that worker ends it.
    const wasQueued = await endJob(this.#database, id, null, { status: 'CANCELLED', error: reason });
    if (!wasQueued) await this.#database.$queryRaw`SELECT pg_notify(${CANCEL_CHANNEL}, ${id})::text`;
    const job = await this.get(id);
    if (isTerminal(job.status) && job.status !== 'CANCELLED') {
      throw new AsgardError('CONFLICT', `job "${id}" has already ended: it is ${job.status}`);
    }
    return job;
  }

  /** Jobs, the newest first; see `listJobs`. */
  list(options: JobListOptions): ReturnType<typeof listJobs> {
    return listJobs(this.#database, options);
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
   * The job's log so far as text: what was printed while its environment was prepared, the script's lines of both streams
   * in the order of their numbers, and the platform's own; each line ends with a line feed. Of a log of more than 8 Mi
   * characters the end, after a line that says so; its events have all of it.
   * @throws AsgardError NOT_FOUND
   */
  async logText(id: string): Promise<string> {
    await this.get(id);
    const { text, isCut } = await readLogTail(this.#database, id, MAX_LOG_CHARACTERS);
    return isCut ? `… the beginning of this log is left out here; the job's events have all of it\n${text}` : text;
  }
}
