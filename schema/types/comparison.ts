import type { ComparedValue } from '../../src/jobs/compared-values.ts';
import type { Compared, Comparison, Difference } from '../../src/jobs/comparison.ts';
import type { FeatureDifference, ReadOfView } from '../../src/jobs/feature-difference.ts';
import type { ScriptDifference } from '../../src/jobs/script-difference.ts';
import type { MetricValue } from '../../src/mlflow/json.ts';
import type { PackageDifference } from '../../src/python/lock-difference.ts';
import { builder } from '../builder.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion } from './model-version.ts';
import { Run } from './run.ts';

const ComparedType = builder.objectRef<Compared>('Compared').implement({
  description: 'One of those that are compared.',
  fields: (t) => ({
    job: t.field({
      type: TrainingJob,
      nullable: true,
      description: 'The job; null of a version that none made.',
      resolve: ({ job }) => job && { id: job.id },
    }),
    run: t.field({
      type: Run,
      nullable: true,
      description: 'The run whose params and metrics are compared; null when there is none.',
      resolve: ({ run }) => run,
    }),
    modelVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'The version, where versions are compared.',
      resolve: ({ version }) => version,
    }),
  }),
});

const ComparedParam = builder.objectRef<ComparedValue<string>>('ComparedParam').implement({
  description: 'A parameter as each of those compared has it.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Which parameter.' }),
    isSame: t.exposeBoolean('isSame', { description: 'Whether all have the same.' }),
    values: t.field({
      type: ['String'],
      nullable: { list: false, items: true },
      description: 'In the order of `compared`; null where there is no such parameter.',
      resolve: ({ values }) => [...values],
    }),
  }),
});

const ComparedMetric = builder.objectRef<ComparedValue<MetricValue>>('ComparedMetric').implement({
  description: 'The newest value of a metric as each of those compared has it.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Which metric.' }),
    isSame: t.exposeBoolean('isSame', { description: 'Whether all have the same.' }),
    values: t.field({
      type: ['Float'],
      nullable: { list: false, items: true },
      description: 'In the order of `compared`; null where there is none or it is not a finite number: see `texts`.',
      resolve: ({ values }) => values.map((value) => (typeof value === 'number' ? value : null)),
    }),
    texts: t.field({
      type: ['String'],
      nullable: { list: false, items: true },
      description: 'The values as text: a number, `NaN`, `Infinity` or `-Infinity`; null where there is none.',
      resolve: ({ values }) => values.map((value) => (value === null ? null : String(value))),
    }),
  }),
});

const ScriptDifferenceType = builder.objectRef<ScriptDifference>('ScriptDifference').implement({
  description: 'How a script differs from the first one.',
  fields: (t) => ({
    unified: t.exposeString('unified', {
      nullable: true,
      description:
        'As `diff -u` writes it, at most 256 Ki characters; empty when both are the same, null when they have too little in common.',
    }),
    addedLines: t.exposeInt('addedLines', { description: 'How many lines the first one has not.' }),
    removedLines: t.exposeInt('removedLines', { description: 'How many lines only the first one has.' }),
    isCut: t.exposeBoolean('isCut', { description: 'Whether the end of `unified` was left out.' }),
  }),
});

const PackageDifferenceType = builder.objectRef<PackageDifference>('PackageDifference').implement({
  description: 'A Python package that differs between two environments.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Which package.' }),
    before: t.exposeString('before', { nullable: true, description: 'Its version in the first; null: it lacks it.' }),
    after: t.exposeString('after', { nullable: true, description: 'Its version in this one; null: it lacks it.' }),
  }),
});

const ReadOfViewType = builder.objectRef<ReadOfView>('FeaturesOfView').implement({
  description: 'What was read of one feature view.',
  fields: (t) => ({
    features: t.exposeStringList('features', { description: 'The names of the features, sorted.' }),
    tables: t.exposeStringList('tables', { description: 'The tables that they came from, with catalog and schema.' }),
    snapshotIds: t.exposeStringList('snapshotIds', {
      description: 'The snapshots of the tables, whole numbers as text, in the order of the reads.',
    }),
  }),
});

const FeatureDifferenceType = builder.objectRef<FeatureDifference>('FeatureDifference').implement({
  description: 'A feature view of which other features, or another snapshot, were read.',
  fields: (t) => ({
    featureViewName: t.exposeString('featureView', { description: 'Which feature view, by its name.' }),
    before: t.expose('before', { type: ReadOfViewType, nullable: true, description: 'What the first read of it.' }),
    after: t.expose('after', { type: ReadOfViewType, nullable: true, description: 'What this one read of it.' }),
  }),
});

const DifferenceType = builder.objectRef<Difference>('Difference').implement({
  description: 'How one of those compared differs from the first.',
  fields: (t) => ({
    compared: t.expose('compared', { type: ComparedType, description: 'Which one.' }),
    script: t.expose('script', {
      type: ScriptDifferenceType,
      nullable: true,
      description: 'Of their scripts; null when one of them has none.',
    }),
    pythonBefore: t.string({
      nullable: true,
      description: 'The version of Python of the first, when this one has another.',
      resolve: ({ python }) => python?.before,
    }),
    pythonAfter: t.string({
      nullable: true,
      description: 'The version of Python of this one, when it is another.',
      resolve: ({ python }) => python?.after,
    }),
    packages: t.field({
      type: [PackageDifferenceType],
      nullable: true,
      description: 'Packages that differ, by name; null when one of them has no environment.',
      resolve: ({ packages }) => packages && [...packages],
    }),
    features: t.field({
      type: [FeatureDifferenceType],
      description: 'Feature views of which something else was read, by name.',
      resolve: ({ features }) => [...features],
    }),
  }),
});

export const ComparisonType = builder.objectRef<Comparison>('Comparison').implement({
  description: 'Jobs or model versions side by side.',
  fields: (t) => ({
    compared: t.field({
      type: [ComparedType],
      description: 'Those that are compared, in the order in which they were asked for.',
      resolve: ({ compared }) => [...compared],
    }),
    params: t.field({
      type: [ComparedParam],
      description: 'The parameters of their runs, by key; of more than 2,000 those that differ first.',
      resolve: ({ params }) => [...params],
    }),
    metrics: t.field({
      type: [ComparedMetric],
      description: 'The metrics of their runs, by key; of more than 2,000 those that differ first.',
      resolve: ({ metrics }) => [...metrics],
    }),
    isCut: t.exposeBoolean('isCut', { description: 'Whether some parameters or metrics were left out.' }),
    differences: t.field({
      type: [DifferenceType],
      description: 'Of each but the first: how it differs from the first.',
      resolve: ({ differences }) => [...differences],
    }),
  }),
});
