import { storedPins } from '../../src/jobs/feature-pins.ts';
import { builder } from '../builder.ts';

export const FeatureSnapshot = builder.objectRef<[table: string, snapshotId: string]>('FeatureSnapshot').implement({
  description: 'A table at one of its snapshots, as `FeatureSnapshotInput` takes it.',
  fields: (t) => ({
    table: t.string({
      description: 'The table, with catalog and schema: `iceberg.gold.customer_metrics`.',
      resolve: ([table]) => table,
    }),
    snapshotId: t.string({
      description: 'The id of the snapshot, a whole number as text.',
      resolve: ([, snapshotId]) => snapshotId,
    }),
  }),
});

const FeaturePins = builder.objectRef<NonNullable<ReturnType<typeof storedPins>>>('FeaturePins').implement({
  description: 'What the reads of the feature store of a job are held to.',
  fields: (t) => ({
    asOf: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The time as of which tables are read that `snapshots` does not name; null: as they are.',
      resolve: ({ asOf }) => asOf ?? null,
    }),
    snapshots: t.field({
      type: [FeatureSnapshot],
      description: 'The tables that are read at one snapshot.',
      resolve: ({ snapshots = {} }) => Object.entries(snapshots),
    }),
  }),
});

builder.prismaObjectField('TrainingJob', 'featurePins', (t) =>
  t.field({
    type: FeaturePins,
    nullable: true,
    description: 'What its reads of the feature store are held to, as it was handed in; null when to nothing.',
    select: { featurePins: true },
    resolve: ({ featurePins }) => storedPins(featurePins),
  }),
);

export const FeatureSnapshotInput = builder.inputType('FeatureSnapshotInput', {
  description: 'A table that is to be read at one of its snapshots.',
  fields: (t) => ({
    table: t.string({
      required: true,
      description: 'The table, with catalog and schema: `iceberg.gold.customer_metrics`.',
    }),
    snapshotId: t.string({ required: true, description: 'The id of the snapshot, a whole number as text.' }),
  }),
});

export const FeaturePinsInput = builder.inputType('FeaturePinsInput', {
  description: 'What the reads of the feature store of a job shall be held to, so that they give the same rows again.',
  fields: (t) => ({
    asOf: t.field({
      type: 'DateTime',
      description: 'The time as of which tables are read that `snapshots` does not name; absent: as they are.',
    }),
    snapshots: t.field({
      type: [FeatureSnapshotInput],
      description:
        'Tables that are read at one snapshot, each once, at most 100; `featureSnapshots` of a job gives its own.',
    }),
  }),
});
