import type { JobFeatureRead, PrismaClient, TrainingJob } from '../database/generated/client.ts';
import type { JobStatus } from '../database/generated/enums.ts';
import { AsgardError, invalidInput } from '../platform/errors.ts';
import type { ScriptError } from '../python/checker-process.ts';
import { readLogTails } from './events-of-many.ts';
import { MAX_READS_SHOWN } from './feature-read-log.ts';
import { JobIntake } from './intake.ts';
import { checkJobId, newJobId, noSuchJob } from './job-id.ts';
import { type JobFilter, listJobs } from './job-list.ts';
import type { JobObserver } from './job-observer.ts';
import { type JobSummary, readSummaries, readSummaryWithCount } from './job-summary.ts';
import { scriptRefusal } from './script-refusal.ts';
import { isTerminal } from './states.ts';
import type { JobSubmission } from './submission.ts';
import { endQueuedJob } from './transitions.ts';

/** Channel of "cancel was asked for", payload the job's id. */
export const CANCEL_CHANNEL = 'asgard_job_cancel';

const MAX_LOG_CHARACTERS = 8 * 1024 * 1024;
const CUT = "… the beginning of this log is left out here; the job's events have all of it";
const MAX_REASON = 1000;
const DEFAULT_REASON = 'cancelled on request';

/** A part of the list of jobs, the newest first. */
export interface NewestJobs extends Pick<JobFilter, 'featureViewName'> {
  /** At most this many. */
  readonly first: number;
  /** Only those behind this job. */
  readonly after?: Pick<JobSummary, 'id' | 'createdAt'> | undefined;
  /** Only jobs of one of these statuses; absent: all. */
  readonly statuses?: readonly JobStatus[] | undefined;
}

/** What jobs need of other parts of the platform. */
export interface JobServiceOptions {
  /** What keeps a script from ever running, or null. Absent: scripts are taken as they are. */
  readonly checkScript?: (script: string) => Promise<ScriptError | null>;
  readonly observer?: Pick<JobObserver, 'ended'>;
  /** How many jobs may wait at once; absent: as many as there are. */
  readonly maxQueued?: number;
}

/** Jobs as their users see them: hand in, look up, cancel. */
export class JobService {
  readonly #database: PrismaClient;
  readonly #options: JobServiceOptions;
  readonly #intake: JobIntake;

  constructor(database: PrismaClient, options: JobServiceOptions = {}) {
    this.#database = database;
    this.#options = options;
    this.#intake = new JobIntake(database, options.maxQueued);
  }

  /**
   * Stores a job QUEUED and wakes the workers. Returns at once; the job's events tell the rest. With an idempotency key
   * that a job was handed in with before, gives that job as it is now, whatever else is handed in.
   * @throws AsgardError INVALID_INPUT for a script with a syntax error, naming its line: no run of it could succeed;
   * QUEUE_FULL
   * @param deployment what shall become of its model; see `DeploymentService`
   */
  async submit(submission: JobSubmission, deployment?: { readonly alias: string }): Promise<TrainingJob> {
    const { idempotencyKey = null } = submission;
    const first = idempotencyKey === null ? null : await this.#intake.find(idempotencyKey);
    if (first !== null) return first;
    const error = await this.#options.checkScript?.(submission.script);
    if (error) throw scriptRefusal(submission.scriptName, error);
    const { features, ...rest } = submission;
    return this.#intake.take({
      id: newJobId(),
      ...rest,
      ...(features && { featurePins: features }),
      ...(deployment && { deployment: { create: deployment } }),
      idempotencyKey,
    });
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
   * @param given why: text of at most 1000 characters; white space around it is dropped, and what is empty then counts as absent
   * @throws AsgardError NOT_FOUND; CONFLICT when the job had ended in another way; INVALID_INPUT for a bad reason
   */
  async cancel(id: string, given = ''): Promise<TrainingJob> {
    checkJobId(id);
    const reason = reasonOf(given);
    await this.#database.trainingJob.updateMany({
      where: { id, cancelRequestedAt: null, completedAt: null },
      data: { cancelRequestedAt: new Date(), cancelReason: reason },
    });
    // False when a worker has claimed the job: then that worker ends it.
    const wasQueued = await endQueuedJob(this.#database, id, { status: 'CANCELLED', error: reason });
    if (wasQueued) this.#options.observer?.ended('CANCELLED');
    else await this.#database.$queryRaw`SELECT pg_notify(${CANCEL_CHANNEL}, ${id})::text`;
    const job = await this.get(id);
    if (isTerminal(job.status) && job.status !== 'CANCELLED') {
      throw new AsgardError('CONFLICT', `job "${id}" has already ended: it is ${job.status}`);
    }
    return job;
  }

  /** What there is to say of a job, without what it was handed in with. @throws AsgardError NOT_FOUND */
  async summary(id: string): Promise<JobSummary> {
    checkJobId(id);
    const [job] = await readSummaries(this.#database, [id]);
    if (job === undefined) throw noSuchJob(id);
    return job;
  }

  /** Jobs, the newest first, and whether there are more behind them. */
  async list({
    first,
    after,
    statuses,
    featureViewName,
  }: NewestJobs): Promise<{ jobs: JobSummary[]; hasMore: boolean }> {
    const { places, hasNext } = await listJobs(this.#database, {
      filter: { statuses: statuses && [...statuses], featureViewName },
      order: { by: 'createdAt', isAscending: false },
      limit: first,
      after: after && { id: after.id, at: after.createdAt },
    });
    const ids = places.map(({ id }) => id);
    return { jobs: await readSummaries(this.#database, ids), hasMore: hasNext };
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
   * A job, its log so far (see `logTexts`), and what its script read of the feature store, in that order; of more than 1,000 reads
   * the first. A job that shows as ended has its whole log.
   * @throws AsgardError NOT_FOUND
   */
  async withLog(id: string): Promise<{ job: JobSummary; log: string; reads: JobFeatureRead[] }> {
    checkJobId(id);
    const found = await readSummaryWithCount(this.#database, id);
    if (found === null) throw noSuchJob(id);
    const reads = { where: { jobId: id }, orderBy: { id: 'asc' }, take: MAX_READS_SHOWN } as const;
    const [[log = ''], read] = await Promise.all([
      this.logTexts([id]),
      found.featureReads === 0 ? [] : this.#database.jobFeatureRead.findMany(reads),
    ]);
    return { job: found.job, log, reads: read };
  }

  /**
   * The logs so far of jobs that exist, as text, in the order of `ids`: what was printed while a job's environment was prepared,
   * the script's lines of both streams in the order of their numbers, and the platform's own; each line ends with a line feed.
   * Of logs of more than 8 Mi characters together the ends, after a line that says so; the jobs' events have all of it.
   */
  async logTexts(ids: readonly string[]): Promise<string[]> {
    const tails = await readLogTails(this.#database, ids, MAX_LOG_CHARACTERS / ids.length);
    return tails.map(({ text, isCut }) => (isCut ? `${CUT}\n${text}` : text));
  }
}

/** @throws AsgardError INVALID_INPUT */
function reasonOf(given: string): string {
  const reason = given.trim() || DEFAULT_REASON;
  // A reason is shown as it is, on terminals too: of control characters it may have tabs and line feeds.
  if (reason.length <= MAX_REASON && reason.isWellFormed() && !/[^\P{Cc}\t\n]/u.test(reason)) return reason;
  const rule = `must be text of at most ${MAX_REASON} characters, without control characters`;
  throw invalidInput(['reason'], `the job was not cancelled: reason: ${rule}`);
}
