import type { PrismaClient } from '../database/generated/client.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { modelVersionKey } from '../models/version-key.ts';

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
export async function makersOf(
  database: PrismaClient,
  versions: readonly MadeVersion[],
): Promise<(VersionMaker | null)[]> {
  const runIds = versions.flatMap(({ runId }) => runId ?? []);
  const runs = await database.jobRun.findMany({
    where: { runId: { in: runIds } },
    select: { runId: true, jobId: true, attemptId: true },
  });
  const byRun = new Map(runs.map((run) => [run.runId, run]));
  const byKey = await registrationsOf(
    database,
    versions.filter(({ runId }) => runId === null || !byRun.has(runId)),
  );
  return versions.map(({ name, version, runId }) => {
    return (runId === null ? undefined : byRun.get(runId)) ?? byKey.get(modelVersionKey(name, version)) ?? null;
  });
}

/** Who registered the versions, by `modelVersionKey`; those that no job registered are left out. */
export async function registrationsOf(
  database: PrismaClient,
  versions: readonly MadeVersion[],
): Promise<Map<string, VersionMaker>> {
  if (versions.length === 0) return new Map();
  const rows = await database.jobModelVersion.findMany({
    where: { OR: versions.map(({ name, version }) => ({ name, version })) },
    select: { name: true, version: true, jobId: true, attemptId: true },
  });
  return new Map(rows.map((row) => [modelVersionKey(row.name, row.version), row]));
}

/** `makersOf` a single one. */
export async function makerOf(database: PrismaClient, version: MadeVersion): Promise<VersionMaker | null> {
  const [maker = null] = await makersOf(database, [version]);
  return maker;
}
