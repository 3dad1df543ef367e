import { dataloaderGetter } from '@pothos/plugin-dataloader';
import type { JobFeatureRead, ServableVersion } from '../src/database/generated/client.ts';
import type { FeatureView } from '../src/features/feature-view.ts';
import { readsOfRuns } from '../src/jobs/feature-read-log.ts';
import { type MadeVersion, makersOf } from '../src/jobs/version-maker.ts';
import type { Experiment, ModelVersion, RegisteredModel, Run } from '../src/mlflow/wire.ts';
import { type ServableKey, servableVersions } from '../src/models/servable-versions.ts';
import { modelVersionKey, parseModelVersionKey } from '../src/models/version-key.ts';
import { isStorableText } from '../src/platform/text.ts';
import type { Context } from './context.ts';
import { loadPossible } from './database-text.ts';

/** The keys of an experiment, that can be known by its id or by its name. */
export const experimentKey = {
  ofId: (id: string) => `id/${id}`,
  ofName: (name: string) => `name/${name}`,
};

/** Runs by id, in one search of MLflow. Which experiment holds each, which the search must know, the jobs tell. */
export async function loadRuns(ids: readonly string[], { database, experiments }: Context) {
  const found = await loadPossible(ids, async (runIds) => {
    const known = await database.jobRun.findMany({
      where: { runId: { in: runIds } },
      select: { runId: true, experimentId: true },
    });
    const experimentOf = new Map(known.map(({ runId, experimentId }) => [runId, experimentId]));
    return experiments.runsByIds(runIds.map((runId) => ({ runId, experimentId: experimentOf.get(runId) })));
  });
  return absentAsNull<Run>(found);
}

/** Experiments by `experimentKey`, in one search for each kind of key. */
export async function loadExperiments(keys: readonly string[], { experiments }: Context) {
  const named = keys.filter((key) => key.startsWith('name/')).map((key) => key.slice('name/'.length));
  const numbered = keys.filter((key) => key.startsWith('id/')).map((key) => key.slice('id/'.length));
  const found = new Map<string, Experiment | null>();
  const [byName, byId] = await Promise.all([
    loadPossible(named, (names) => experiments.byNames(names)),
    numbered.length === 0 ? [] : experiments.byIds(numbered),
  ]);
  for (const [index, experiment] of byName.entries()) found.set(`name/${named[index]}`, experiment);
  for (const [index, experiment] of byId.entries()) found.set(`id/${numbered[index]}`, experiment);
  return absentAsNull<Experiment>(keys.map((key) => found.get(key) ?? null));
}

/** Registered models by name. */
export async function loadModels(names: readonly string[], { models }: Context) {
  return absentAsNull<RegisteredModel>(await loadPossible(names, (possible) => models.byNames(possible)));
}

/** Feature views by name. */
export async function loadFeatureViews(names: readonly string[], { featureViews }: Context) {
  return absentAsNull<FeatureView>(await loadPossible(names, (possible) => featureViews.byNames(possible)));
}

/** Model versions by `modelVersionKey`. */
export async function loadModelVersions(keys: readonly string[], { models }: Context) {
  const found = await loadPossible(keys, (possible) => models.versionsByKeys(possible.map(parseModelVersionKey)));
  return absentAsNull<ModelVersion>(found);
}

/** A job by its id alone: of its row the Prisma plugin reads what is asked for, for all jobs that it meets at once. */
interface JobReference {
  readonly id: string;
}

/** The jobs whose scripts created the runs, null where none did. */
export async function loadJobsByRun(
  runIds: readonly string[],
  { database }: Context,
): Promise<(JobReference | null)[]> {
  const rows = await database.jobRun.findMany({
    where: { runId: { in: [...runIds] } },
    select: { runId: true, jobId: true },
  });
  const jobs = new Map(rows.map(({ runId, jobId }) => [runId, { id: jobId }]));
  return runIds.map((runId) => jobs.get(runId) ?? null);
}

/** The jobs that the model versions came out of; null where none did. */
export async function loadJobsByModelVersion(
  versions: readonly MadeVersion[],
  { database }: Context,
): Promise<(JobReference | null)[]> {
  const makers = await makersOf(database, versions);
  return makers.map((maker) => maker && { id: maker.jobId });
}

/** A loader of what is known of model versions as ones to serve; null of those that were not tried yet. */
export const recordOf = dataloaderGetter<ServableKey, ServableVersion | null, string>(
  { cacheKeyFn: ({ name, version, createdAt }) => `${modelVersionKey(name, version)}/${createdAt.getTime()}` },
  async (versions, context) => servableVersions((context as Context).database, versions), // it does not know our context
  undefined,
  undefined,
);

/** What the runs read of the feature store, in that order. */
export async function loadReadsByRun(runIds: readonly string[], { database }: Context): Promise<JobFeatureRead[][]> {
  const reads = await readsOfRuns(database, runIds.filter(isStorableText));
  return runIds.map((runId) => reads.get(runId) ?? []);
}

/**
 * What the dataloader plugin takes from a loader. It types an object that is not there as an error; null is right
 * here, since every field that names an object by its key is nullable.
 */
function absentAsNull<T>(found: readonly (T | null)[]): T[] {
  return found as T[];
}
