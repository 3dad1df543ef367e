import { type AppliedFeatureService, featureServiceInput } from '../../src/features/feature-services.ts';
import { builder } from '../builder.ts';
import { failures, parseInput, withFailures } from '../errors.ts';
import { withoutNulls } from '../input.ts';
import { FeatureServiceType } from './feature-service.ts';
import { FeatureViewAction } from './feature-view-plan.ts';
import { TagInput, tagRecord } from './tag.ts';

const FeatureServiceInput = builder.inputType('FeatureServiceInput', {
  description: 'A feature service as it shall be.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'A letter and then letters, digits and `_`, at most 255.' }),
    features: t.stringList({
      required: true,
      description: 'Each as `view:feature`, or `view` for all features that it has now; at most 1000.',
    }),
    description: t.string({ description: 'What people shall read of it, at most 10,000 characters.' }),
    owner: t.string({ description: 'Who answers for it, at most 250 characters.' }),
    tags: t.field({ type: [TagInput], description: 'Its tags; each key once, at most 100.' }),
  }),
});

const Applied = builder.objectRef<AppliedFeatureService>('AppliedFeatureService').implement({
  description: 'What became of a feature service.',
  fields: (t) => ({
    action: t.expose('action', { type: FeatureViewAction, description: 'What applying it did.' }),
    service: t.expose('service', { type: FeatureServiceType, description: 'The feature service as it is now.' }),
  }),
});

const Deleted = builder.objectRef<{ readonly name: string }>('DeletedFeatureService').implement({
  description: 'A feature service that is gone.',
  fields: (t) => ({ name: t.exposeString('name', { description: 'What it was called.' }) }),
});

builder.mutationFields((t) => ({
  applyFeatureService: t.field({
    type: Applied,
    errors: {
      types: [failures.invalidInput, failures.unavailable],
      union: { description: 'What became of a request to create or change a feature service.' },
    },
    description:
      'Creates a feature service, or makes the one of its name what the input says. Every view and feature must be there. Safe to repeat.',
    args: {
      input: t.arg({ type: FeatureServiceInput, required: true, description: 'The feature service as it shall be.' }),
    },
    resolve: (_root, { input }, { featureServices }) => withFailures(() => featureServices.apply(parse(input))),
  }),
  deleteFeatureService: t.field({
    type: Deleted,
    errors: {
      types: [failures.notFound, failures.unavailable],
      union: { description: 'What became of a request to delete a feature service.' },
    },
    description: 'Deletes a feature service; its views stay.',
    args: { name: t.arg.string({ required: true, description: 'Which feature service.' }) },
    resolve: (_root, { name }, { featureServices }) => withFailures(() => featureServices.delete(name)),
  }),
}));

/** @throws AsgardError INVALID_INPUT with every issue, named as the input's fields are */
function parse({ tags, ...rest }: typeof FeatureServiceInput.$inferInput) {
  return parseInput(
    featureServiceInput,
    { ...withoutNulls(rest), tags: tagRecord(['tags'], tags) },
    `the feature service "${rest.name.slice(0, 100)}" was not applied`,
  );
}
