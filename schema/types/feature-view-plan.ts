import type { FeatureViewChange, FeatureViewPlan } from '../../src/features/feature-view.ts';
import { builder } from '../builder.ts';
import { failures, withFailures } from '../errors.ts';
import { ProposedFeatureView } from './feature-view.ts';
import { FeatureViewInputType, parseFeatureView } from './feature-view-input.ts';

export const FeatureViewAction = builder.enumType('FeatureViewAction', {
  description: 'What applying a definition does.',
  values: {
    CREATED: { value: 'created', description: 'There was none of its name.' },
    CHANGED: { value: 'changed', description: 'The one of its name was another.' },
    UNCHANGED: { value: 'unchanged', description: 'It was so already: nothing is written.' },
  } as const,
});

const ChangeKind = builder.enumType('FeatureViewChangeKind', {
  description: 'The kinds of a difference.',
  values: {
    ADDED: { value: 'added', description: 'It was not there before.' },
    REMOVED: { value: 'removed', description: 'It is not there any more.' },
    CHANGED: { value: 'changed', description: 'It has another value.' },
  } as const,
});

export const FeatureViewChangeType = builder.objectRef<FeatureViewChange>('FeatureViewChange').implement({
  description: 'A difference between a feature view as it was and as it is wanted.',
  fields: (t) => ({
    kind: t.expose('kind', { type: ChangeKind, description: 'Whether something was added, removed or changed.' }),
    path: t.exposeStringList('path', {
      description: 'Where in the definition, e.g. `features`, `total_orders`, `dtype`.',
    }),
    before: t.expose('before', {
      type: 'JSON',
      nullable: true,
      description: 'The value so far; null when there was none.',
    }),
    after: t.expose('after', {
      type: 'JSON',
      nullable: true,
      description: 'The value from then on; null when there is none.',
    }),
  }),
});

const SourceColumn = builder.objectRef<FeatureViewPlan['table']['columns'][number]>('FeatureSourceColumn').implement({
  description: 'A column of the table that a feature view reads.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What entities and features call it.' }),
    type: t.exposeString('type', { description: 'In the words of Iceberg, such as `long` or `timestamptz`.' }),
    required: t.exposeBoolean('required', { description: 'Whether it can hold no nulls.' }),
  }),
});

const NullRate = builder.objectRef<FeatureViewPlan['sample']['nullRates'][number]>('FeatureNullRate').implement({
  description: 'How much of a column is null.',
  fields: (t) => ({
    column: t.exposeString('column', { description: 'The name of the column.' }),
    rate: t.exposeFloat('rate', { description: 'The share of nulls among the rows looked at, 0 to 1.' }),
  }),
});

const Sample = builder.objectRef<FeatureViewPlan['sample']>('FeatureSample').implement({
  description: 'What the first rows of a table say of a feature view.',
  fields: (t) => ({
    rowCount: t.int({ description: 'How many rows were looked at, at most 10,000.', resolve: ({ rows }) => rows }),
    nullRates: t.expose('nullRates', { type: [NullRate], description: 'Of each column that the view reads.' }),
    repeatedKeys: t.exposeInt('repeatedKeys', {
      description: 'How many rows have entities and a time that another has too: of those only one counts.',
    }),
    columns: t.exposeStringList('columns', { description: 'The columns that the view reads.' }),
    firstRows: t.field({
      type: 'JSON',
      description: 'Five rows, each a list of values in the order of `columns`.',
      resolve: ({ firstRows }) => firstRows,
    }),
  }),
});

const Plan = builder.objectRef<FeatureViewPlan>('FeatureViewPlan').implement({
  description: 'What would become of a definition. Nothing was written.',
  fields: (t) => ({
    action: t.expose('action', { type: FeatureViewAction, description: 'What applying it would do.' }),
    changes: t.expose('changes', { type: [FeatureViewChangeType], description: 'What would be different.' }),
    view: t.expose('view', { type: ProposedFeatureView, description: 'The view, with what was left out filled in.' }),
    sourceTable: t.string({
      description: 'The table that it reads: catalog, schema and name.',
      resolve: ({ table }) => table.name,
    }),
    snapshotId: t.string({
      nullable: true,
      description: 'The snapshot of the table that was looked at; null when it has none yet.',
      resolve: ({ table }) => table.snapshotId,
    }),
    columns: t.field({
      type: [SourceColumn],
      description: 'The columns of the table.',
      resolve: ({ table }) => table.columns,
    }),
    sample: t.expose('sample', { type: Sample, description: 'What its first rows are like.' }),
  }),
});

builder.queryField('featureViewPlan', (t) =>
  t.field({
    type: Plan,
    errors: {
      types: [failures.invalidInput, failures.conflict, failures.unavailable],
      union: { description: 'What would become of a definition.' },
    },
    description: 'What applying a feature view would do, and what its table is like. Writes nothing.',
    args: {
      input: t.arg({ type: FeatureViewInputType, required: true, description: 'The feature view as it shall be.' }),
    },
    resolve: (_root, { input }, { featureViews, signal }) =>
      withFailures(() => featureViews.plan(parseFeatureView(input), signal)),
  }),
);
