import type { Materialization } from '../../src/database/generated/client.ts';
import type {
  MaterializationMode,
  MaterializationStatus,
  MaterializationTrigger,
} from '../../src/database/generated/enums.ts';
import { builder } from '../builder.ts';
import { pageSize } from '../connection.ts';
import { endingOnReturn } from '../ending-on-return.ts';
import { failures, withFailures } from '../errors.ts';

const MaterializationStatusType = builder.enumType('MaterializationStatus', {
  description: 'How far a materialization is.',
  values: {
    QUEUED: { description: 'It waits for others on its platform.' },
    RUNNING: {
      description: 'The table is being read, or values are being written. Readers see the values from before.',
    },
    COMPLETED: { description: 'Its values are what readers see.' },
    FAILED: { description: 'Nothing has changed; `error` says why.' },
  } satisfies Record<MaterializationStatus, object>,
});

const MaterializationTriggerType = builder.enumType('MaterializationTrigger', {
  description: 'Why a materialization was begun.',
  values: {
    REQUEST: { description: 'Somebody asked for it.' },
    SCHEDULE: { description: 'The table had something new when the view’s interval was over.' },
  } satisfies Record<MaterializationTrigger, object>,
});

const MaterializationModeType = builder.enumType('MaterializationMode', {
  description: 'How much of its table a materialization read.',
  values: {
    UNCHANGED: { description: 'Nothing, as nothing was new.' },
    INCREMENTAL: { description: 'The rows that were appended since the last one.' },
    FULL: {
      description: 'All rows: those before were deleted or overwritten, or another definition of the view needs it.',
    },
  } satisfies Record<MaterializationMode, object>,
});

export const MaterializationType = builder.objectRef<Materialization>('Materialization').implement({
  description:
    'One run that brings the online values of a feature view up to its table. All of its values change at once.',
  fields: (t) => ({
    id: t.exposeID('id', { description: '16 hexadecimal digits.' }),
    featureViewName: t.exposeString('featureView', { description: 'Which view it copies.' }),
    status: t.expose('status', { type: MaterializationStatusType, description: 'How far it is.' }),
    trigger: t.expose('trigger', { type: MaterializationTriggerType, description: 'Why it was begun.' }),
    mode: t.expose('mode', {
      type: MaterializationModeType,
      nullable: true,
      description: 'How much was read; null before it is completed.',
    }),
    rowsRead: t.float({
      description: 'How many rows were read so far, a whole number.',
      resolve: ({ rowsRead }) => Number(rowsRead),
    }),
    rowsSkipped: t.float({
      description: 'How many of them are of no entity, as they lack a join key or their time; a whole number.',
      resolve: ({ rowsSkipped }) => Number(rowsSkipped),
    }),
    valuesWritten: t.float({
      description: 'How many values were new or others than before, a whole number.',
      resolve: ({ valuesWritten }) => Number(valuesWritten),
    }),
    entities: t.float({
      description: 'While it runs, of how many entities rows were read; then how many have values. A whole number.',
      resolve: ({ entities }) => Number(entities),
    }),
    entitiesDeleted: t.float({
      description: 'How many entities left the online store, as the table has no row of them any more; a whole number.',
      resolve: ({ entitiesDeleted }) => Number(entitiesDeleted),
    }),
    snapshotId: t.exposeString('snapshotId', {
      nullable: true,
      description:
        'The snapshot of the table that the values are of; null before it is completed, and of an empty table.',
    }),
    error: t.exposeString('error', { nullable: true, description: 'Why it failed, for people to read.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was asked for.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it began to read; null while it waits.',
    }),
    completedAt: t.expose('completedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended, well or not; null before.',
    }),
  }),
});

const StartedMaterializations = builder
  .objectRef<{ readonly materializations: Materialization[] }>('StartedMaterializations')
  .implement({
    description: 'Materializations that were begun, or ran already.',
    fields: (t) => ({
      materializations: t.field({
        type: [MaterializationType],
        description: 'One for each view, in the order in which they were named.',
        resolve: ({ materializations }) => materializations,
      }),
    }),
  });

const MaterializeFeatureViewsInput = builder.inputType('MaterializeFeatureViewsInput', {
  description: 'Which feature views to bring up to their tables.',
  fields: (t) => ({
    featureViews: t.stringList({ description: 'Their names; absent or null: all that are online.' }),
  }),
});

builder.mutationField('materializeFeatureViews', (t) =>
  t.field({
    type: StartedMaterializations,
    errors: {
      types: [failures.invalidInput, failures.notFound, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to materialize.' },
    },
    description:
      'Begins to bring the online values of feature views up to their tables, and returns at once. A view that is being ' +
      'materialized, on whichever platform, is joined. A view that is not online gives a ConflictError.',
    args: { input: t.arg({ type: MaterializeFeatureViewsInput, required: true, description: 'The views.' }) },
    resolve: (_root, { input }, { materializations }) =>
      withFailures(async () => ({
        materializations: await materializations.start(input.featureViews ?? undefined, 'REQUEST'),
      })),
  }),
);

builder.queryFields((t) => ({
  materialization: t.field({
    type: MaterializationType,
    nullable: true,
    description: 'One materialization; null when there is none of this id. Of each view the last 100 are kept.',
    args: { id: t.arg.id({ required: true, description: 'Of the run, as its start gave it.' }) },
    resolve: (_root, { id }, { materializations }) => materializations.find(id),
  }),
  materializations: t.field({
    type: [MaterializationType],
    description: 'The newest materializations, the newest first.',
    args: {
      featureViewName: t.arg.string({ description: 'Only those of this view.' }),
      first: t.arg.int({ description: 'How many at most, 1 to 100; absent means 20.' }),
    },
    resolve: (_root, { featureViewName, first }, { materializations }) =>
      materializations.list(featureViewName ?? undefined, pageSize(first)),
  }),
}));

builder.subscriptionField('materializationEvents', (t) =>
  t.field({
    type: MaterializationType,
    description:
      'A materialization as it is now, and then after each change, some of which may be passed over. Completes when it has ' +
      'ended; a subscription that stops before was cut, and is begun again.',
    args: { id: t.arg.id({ required: true, description: 'The id of the materialization.' }) },
    subscribe: async (_root, { id }, { materializations, signal }) => {
      await materializations.get(id);
      return endingOnReturn((end) => materializations.follow(id, end), signal);
    },
    resolve: (materialization: Materialization) => materialization,
  }),
);
