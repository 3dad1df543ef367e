import type { PrismaClient, TrainingJob } from '../database/generated/client.ts';
import type { JobStatus } from '../database/generated/enums.ts';

/** A job without what it was handed in with, which can be megabytes. */
export type JobSummary = Omit<
  TrainingJob,
  'script' | 'requirements' | 'environmentVars' | 'tags' | 'cancelRequestedAt' | 'cancelReason'
>;

const SUMMARY = {
  id: true,
  scriptName: true,
  experimentName: true,
  modelName: true,
  timeoutSeconds: true,
  status: true,
  error: true,
  runId: true,
  modelVersion: true,
  environmentHash: true,
  lastSequence: true,
  createdAt: true,
  startedAt: true,
  completedAt: true,
} as const satisfies Record<keyof JobSummary, true>;

/** A place in the list of jobs: behind the job of this time and id. */
export interface JobPlace {
  readonly createdAt: Date;
  readonly id: string;
}

export interface JobListOptions {
  /** At most this many. */
  readonly first: number;
  readonly after?: JobPlace | undefined;
  /** Only jobs of one of these statuses; absent: all. */
  readonly statuses?: readonly JobStatus[] | undefined;
}

/**
 * Jobs, the newest first, and whether there are more behind them. A page is named by the place where it begins, not by a
 * count, so that reading on neither repeats nor skips a job while others are added.
 */
export async function listJobs(
  database: PrismaClient,
  { first, after, statuses }: JobListOptions,
): Promise<{ jobs: JobSummary[]; hasMore: boolean }> {
  const jobs = await database.trainingJob.findMany({
    select: SUMMARY,
    where: {
      ...(statuses === undefined ? {} : { status: { in: [...statuses] } }),
      ...(after === undefined ? {} : behind(after)),
    },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: first + 1,
  });
  return { jobs: jobs.slice(0, first), hasMore: jobs.length > first };
}

/** The first condition alone lets PostgreSQL begin in the middle of the index, however far the place is. */
function behind({ createdAt, id }: JobPlace) {
  return { createdAt: { lte: createdAt }, OR: [{ createdAt: { lt: createdAt } }, { id: { lt: id } }] };
}
