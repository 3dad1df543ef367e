import { type JobFeatureRead, Prisma, type PrismaClient } from '../database/generated/client.ts';
import type { DatasetInput, MlflowClient } from '../mlflow/client.ts';
import { modelVersionKey } from '../models/version-key.ts';
import { type MadeVersion, registrationsOf } from './version-maker.ts';

/** The most reads of a job that are shown. */
export const MAX_READS_SHOWN = 1000;
/** MLflow takes 5,000 characters in a tag. */
const MAX_TAG = 4000;
/** And 500 in a tag of an input. */
const MAX_INPUT_TAG = 500;
/** Of an attempt's, the last ones: its end waits for them. */
const MAX_RUNS = 20;

/**
 * What the runs read: what was read while they were active, and what their attempts read under no run. In the order of the
 * reads; a run that read nothing has none.
 */
export async function readsOfRuns(
  database: PrismaClient,
  runIds: readonly string[],
): Promise<Map<string, JobFeatureRead[]>> {
  if (runIds.length === 0) return new Map();
  const wanted = Prisma.join([...runIds]);
  const rows = await database.$queryRaw<{ runId: string; id: bigint }[]>`
    SELECT run_id AS "runId", id FROM job_feature_reads WHERE run_id IN (${wanted})
    UNION
    SELECT r.run_id, f.id FROM job_runs r JOIN job_feature_reads f ON f.attempt_id = r.attempt_id AND f.run_id IS NULL
    WHERE r.run_id IN (${wanted})
    ORDER BY 2`;
  if (rows.length === 0) return new Map();
  const reads = await database.jobFeatureRead.findMany({ where: { id: { in: rows.map(({ id }) => id) } } });
  const byId = new Map(reads.map((read) => [read.id, read]));
  const found = new Map<string, JobFeatureRead[]>();
  for (const { runId, id } of rows) {
    const read = byId.get(id);
    if (read !== undefined) found.set(runId, [...(found.get(runId) ?? []), read]);
  }
  return found;
}

/** What the runs of the model versions read of the feature store; where that is nothing, the attempts that made them. */
export async function readsOfVersions(
  database: PrismaClient,
  versions: readonly MadeVersion[],
): Promise<JobFeatureRead[][]> {
  const byRun = await readsOfRuns(
    database,
    versions.flatMap(({ runId }) => runId ?? []),
  );
  const rest = versions.filter(({ runId }) => runId === null || !byRun.has(runId));
  const registrations = await registrationsOf(database, rest);
  const reads = await database.jobFeatureRead.findMany({
    where: { attemptId: { in: [...registrations.values()].flatMap(({ attemptId }) => attemptId ?? []) } },
    orderBy: { id: 'asc' },
  });
  const byAttempt = Map.groupBy(reads, ({ attemptId }) => attemptId);
  return versions.map((version) => {
    const ofRun = version.runId === null ? undefined : byRun.get(version.runId);
    return (
      ofRun ?? byAttempt.get(registrations.get(modelVersionKey(version.name, version.version))?.attemptId ?? 0n) ?? []
    );
  });
}

/**
 * Has what a run read among its dataset inputs in MLflow, one for each feature view and snapshot, and in its tags
 * `asgard.feature_views` and `asgard.feature_snapshots`. Safe to repeat.
 */
export async function logReads(
  database: PrismaClient,
  mlflow: MlflowClient,
  runId: string,
  signal: AbortSignal,
): Promise<void> {
  const reads = (await readsOfRuns(database, [runId])).get(runId);
  if (reads === undefined) return;
  await mlflow.logInputs(runId, inputsOf(reads), signal);
  await mlflow.setRunTags(runId, tagsOf(reads), signal);
}

/** `logReads` of all runs of an attempt: what could not be logged when it was read, or was read after a run had begun. */
export async function logReadsOfAttempt(
  database: PrismaClient,
  mlflow: MlflowClient,
  attemptId: bigint,
  signal: AbortSignal,
): Promise<void> {
  if ((await database.jobFeatureRead.count({ where: { attemptId }, take: 1 })) === 0) return;
  const runs = await database.jobRun.findMany({ where: { attemptId }, orderBy: { id: 'desc' }, take: MAX_RUNS });
  for (const { runId } of runs) await logReads(database, mlflow, runId, signal);
}

function inputsOf(reads: readonly JobFeatureRead[]): DatasetInput[] {
  const same = Map.groupBy(reads, ({ featureView, table, snapshotId }) => `${featureView}\n${table}\n${snapshotId}`);
  return [...same.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const features = [...new Set(group.flatMap((read) => read.features))].toSorted();
    const rows = Math.max(...group.map(({ entityRows }) => Number(entityRows)));
    return {
      name: first.featureView,
      // What tells it from others of the name: at most 36 characters.
      digest: first.snapshotId ?? 'empty',
      sourceType: 'iceberg',
      source: JSON.stringify({ table: first.table, snapshot_id: first.snapshotId }),
      profile: JSON.stringify({ num_rows: rows }),
      tags: { 'mlflow.data.context': 'training', 'asgard.features': joined(features, MAX_INPUT_TAG) },
    };
  });
}

/** Snapshots are in the form in which a job may be held to them. */
function tagsOf(reads: readonly JobFeatureRead[]): Record<string, string> {
  const views = [...new Set(reads.map(({ featureView }) => featureView))];
  const snapshots = JSON.stringify(snapshotsOf(reads));
  return {
    'asgard.feature_views': joined(views, MAX_TAG),
    // Cut it would be of no use.
    ...(snapshots.length <= MAX_TAG && { 'asgard.feature_snapshots': snapshots }),
  };
}

/** The snapshot of each table that was read last, by its name. Tables without any are left out. */
export function snapshotsOf(reads: readonly Pick<JobFeatureRead, 'table' | 'snapshotId'>[]): Record<string, string> {
  return Object.fromEntries(
    reads.flatMap(({ table, snapshotId }) => (snapshotId === null ? [] : [[table, snapshotId]])),
  );
}

/** With commas; as many as there is room for. */
function joined(names: readonly string[], maxLength: number): string {
  let text = '';
  for (const name of names) {
    const longer = text === '' ? name : `${text},${name}`;
    if (longer.length > maxLength) break;
    text = longer;
  }
  return text;
}
