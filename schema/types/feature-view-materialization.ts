import type { MaterializationState } from '../../src/features/materialization.ts';
import { builder } from '../builder.ts';
import { FeatureView } from './feature-view.ts';
import { MaterializationType } from './materialization.ts';

const FeatureViewMaterialization = builder.objectRef<MaterializationState>('FeatureViewMaterialization').implement({
  description: 'How far the online values of a feature view have come.',
  fields: (t) => ({
    materializedUntil: t.expose('materializedUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'When they were made; null when they never were. Rows of a later time were not there yet.',
    }),
    snapshotId: t.exposeString('snapshotId', {
      nullable: true,
      description: 'The snapshot of the table that they are of; null when there is none.',
    }),
    entities: t.exposeFloat('entities', { description: 'How many entities have values, a whole number.' }),
    isBehind: t.exposeBoolean('isBehind', { description: 'Whether the next materialization has something to do.' }),
    lagSeconds: t.exposeFloat('lagSeconds', {
      nullable: true,
      description:
        'For how long the table has had what they lack; 0 when they lack nothing, null when they never were made.',
    }),
    trouble: t.exposeString('trouble', {
      nullable: true,
      description: 'Why the table cannot be looked at, for people to read; null when it can.',
    }),
  }),
});

builder.objectField(FeatureView, 'materialization', (t) =>
  t.loadable({
    type: FeatureViewMaterialization,
    nullable: true,
    description: 'How far its online values have come; null when it is not online.',
    load: async (names: string[], { materializations }) => {
      const states = new Map((await materializations.states(names)).map((state) => [state.featureView, state]));
      return names.map((name) => states.get(name) ?? null);
    },
    resolve: ({ name }) => name,
  }),
);

builder.objectField(MaterializationType, 'featureView', (t) =>
  t.field({
    type: FeatureView,
    nullable: true,
    description: 'The view, as it is now; null when it was deleted.',
    resolve: ({ featureView }) => featureView,
  }),
);
