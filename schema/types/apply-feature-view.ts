import type { AppliedFeatureView } from '../../src/features/feature-view.ts';
import { builder } from '../builder.ts';
import { failures, withFailures } from '../errors.ts';
import { FeatureView } from './feature-view.ts';
import { FeatureViewInputType, parseFeatureView } from './feature-view-input.ts';
import { FeatureViewAction, FeatureViewChangeType } from './feature-view-plan.ts';

const Applied = builder.objectRef<AppliedFeatureView>('AppliedFeatureView').implement({
  description: 'What became of a definition.',
  fields: (t) => ({
    action: t.expose('action', { type: FeatureViewAction, description: 'What applying it did.' }),
    changes: t.expose('changes', { type: [FeatureViewChangeType], description: 'What is different now.' }),
    view: t.expose('view', { type: FeatureView, description: 'The feature view as it is now.' }),
  }),
});

const Deleted = builder.objectRef<{ readonly name: string }>('DeletedFeatureView').implement({
  description: 'A feature view that is gone.',
  fields: (t) => ({ name: t.exposeString('name', { description: 'What it was called.' }) }),
});

builder.mutationFields((t) => ({
  applyFeatureView: t.field({
    type: Applied,
    errors: {
      types: [failures.invalidInput, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to create or change a feature view.' },
    },
    description:
      'Creates a feature view, or makes the one of its name what the input says: whatever the input leaves out it has no ' +
      'longer. The table must have each column, of a type that fits. Safe to repeat.',
    args: {
      input: t.arg({ type: FeatureViewInputType, required: true, description: 'The feature view as it shall be.' }),
    },
    resolve: (_root, { input }, { featureViews }) => withFailures(() => featureViews.apply(parseFeatureView(input))),
  }),
  deleteFeatureView: t.field({
    type: Deleted,
    errors: {
      types: [failures.notFound, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to delete a feature view.' },
    },
    description:
      'Deletes a feature view with its online values; its table stays. A ConflictError while a feature service has features of it.',
    args: { name: t.arg.string({ required: true, description: 'Which feature view.' }) },
    resolve: (_root, { name }, { featureViews }) => withFailures(() => featureViews.delete(name)),
  }),
}));
