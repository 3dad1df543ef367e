import type { PrismaClient } from '../database/generated/client.ts';
import type { ModelVersion } from '../mlflow/wire.ts';

/** A model version, as far as what made it is found by it. */
export type MadeVersion = Pick<ModelVersion, 'name' | 'version' | 'runId'>;

/** What made a model version. */
export interface VersionMaker {
  readonly jobId: string;
  /** Null when the job has not kept it. */
  readonly attemptId: bigint | null;
}

/**
 * Null for a version that no job made. By the run first: what is known of a name and number may be of a model that was deleted.
 */
export async function makerOf(
  database: PrismaClient,
  { name, version, runId }: MadeVersion,
): Promise<VersionMaker | null> {
  const select = { jobId: true, attemptId: true } as const;
  const byRun = runId === null ? null : await database.jobRun.findUnique({ where: { runId }, select });
  return byRun ?? database.jobModelVersion.findUnique({ where: { name_version: { name, version } }, select });
}
