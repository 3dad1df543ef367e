import type { PrismaClient, TrainingJob } from '../database/generated/client.ts';

/** A job without what it was handed in with, which can be megabytes. */
export type JobSummary = Omit<
  TrainingJob,
  | 'script'
  | 'requirements'
  | 'environmentVars'
  | 'tags'
  | 'cancelRequestedAt'
  | 'cancelReason'
  | 'graceSeconds'
  | 'priority'
  | 'retries'
  | 'retryOn'
  | 'notBefore'
  | 'idempotencyKey'
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
  featurePins: true,
  lastSequence: true,
  createdAt: true,
  startedAt: true,
  completedAt: true,
} as const satisfies Record<keyof JobSummary, true>;

/** The jobs with these ids, in their order. What does not exist is left out. */
export async function readSummaries(database: PrismaClient, ids: readonly string[]): Promise<JobSummary[]> {
  if (ids.length === 0) return [];
  const jobs = await database.trainingJob.findMany({ select: SUMMARY, where: { id: { in: [...ids] } } });
  const byId = new Map(jobs.map((job) => [job.id, job]));
  return ids.flatMap((id) => byId.get(id) ?? []);
}

/** A job, and how many reads of the feature store it has, by one statement: of most there are none to be looked for. Null when there is no such job. */
export async function readSummaryWithCount(
  database: PrismaClient,
  id: string,
): Promise<{ job: JobSummary; featureReads: number } | null> {
  const select = { ...SUMMARY, _count: { select: { featureReads: true } } } as const;
  const found = await database.trainingJob.findUnique({ where: { id }, select });
  if (found === null) return null;
  const { _count: count, ...job } = found;
  return { job, ...count };
}
