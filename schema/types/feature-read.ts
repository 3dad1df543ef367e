import { dataloaderGetter } from '@pothos/plugin-dataloader';
import type { JobFeatureRead } from '../../src/database/generated/client.ts';
import { MAX_READS_SHOWN, readsOfVersions, snapshotsOf } from '../../src/jobs/feature-read-log.ts';
import type { MadeVersion } from '../../src/jobs/version-maker.ts';
import { builder } from '../builder.ts';
import type { Context } from '../context.ts';
import { loadReadsByRun } from '../loaders.ts';
import { FeatureSnapshot } from './feature-pins.ts';
import { ModelVersion } from './model-version.ts';
import { Run } from './run.ts';

export const FeatureRead = builder.prismaObject('JobFeatureRead', {
  name: 'FeatureRead',
  description:
    'What the script of a job read of a feature view. The same read is there once, however often the script does it.',
  fields: (t) => ({
    featureViewName: t.exposeString('featureView', {
      description: 'The feature view that was asked for, by its name or the alias that a feature service gives it.',
    }),
    features: t.exposeStringList('features', { description: 'The names of the features that were read, sorted.' }),
    table: t.exposeString('table', {
      description: 'The table that they came from, with catalog and schema: `iceberg.gold.customer_metrics`.',
    }),
    snapshotId: t.exposeString('snapshotId', {
      nullable: true,
      description: 'The snapshot of the table that was read, a whole number as text; null of an empty table.',
    }),
    entityRows: t.float({
      description: 'For how many rows they were looked up, at most in one read; a whole number.',
      select: { entityRows: true },
      resolve: ({ entityRows }) => Number(entityRows),
    }),
    at: t.expose('createdAt', { type: 'DateTime', description: 'When they were first read.' }),
    run: t.field({
      type: Run,
      nullable: true,
      description:
        'The run that was active; null when none was, or it is gone. It counts for all runs of the attempt then.',
      select: { runId: true },
      resolve: ({ runId }) => runId,
    }),
    job: t.relation('job', { description: 'The job whose script read them.' }),
  }),
});

builder.prismaObjectFields('TrainingJob', (t) => ({
  featureReads: t.relation('featureReads', {
    description: `What its script read of the feature store, in that order; of more than ${MAX_READS_SHOWN} reads the first.`,
    query: { orderBy: { id: 'asc' }, take: MAX_READS_SHOWN },
  }),
  featureSnapshots: t.field({
    type: [FeatureSnapshot],
    description:
      'The tables that its script read features from, each at the snapshot that was read last: `features.snapshots` of ' +
      '`submitTrainingJob` takes them, and the same script reads the same rows again.',
    select: {
      featureReads: { select: { table: true, snapshotId: true }, orderBy: { id: 'asc' }, take: MAX_READS_SHOWN },
    },
    resolve: ({ featureReads }) => Object.entries(snapshotsOf(featureReads)),
  }),
}));

const readsOfRun = dataloaderGetter<string, JobFeatureRead[], string>(
  {},
  (runIds, context) => loadReadsByRun(runIds, context as Context), // the getter does not know our context
  undefined,
  undefined,
);

builder.objectField(Run, 'featureReads', (t) =>
  t.field({
    type: [FeatureRead],
    description: 'What the script of its job read of the feature store while it was active, or under no run.',
    resolve: ({ id }, _args, context) => readsOfRun(context).load(id),
  }),
);

const readsOfVersion = dataloaderGetter<MadeVersion, JobFeatureRead[], string>(
  { cacheKeyFn: ({ name, version }) => JSON.stringify([name, version]) },
  (versions, context) => readsOfVersions((context as Context).database, versions), // the getter does not know our context
  undefined,
  undefined,
);

builder.objectField(ModelVersion, 'featureReads', (t) =>
  t.field({
    type: [FeatureRead],
    description:
      'The features that it was trained with: what its run read of the feature store, or, when that read nothing, the ' +
      'attempt of the job that it came out of.',
    resolve: ({ name, version, runId }, _args, context) => readsOfVersion(context).load({ name, version, runId }),
  }),
);
