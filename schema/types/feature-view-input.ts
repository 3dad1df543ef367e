import { type FeatureViewInput, featureViewInput } from '../../src/features/feature-view-input.ts';
import { builder } from '../builder.ts';
import { parseInput } from '../errors.ts';
import { withoutNulls } from '../input.ts';
import { FeatureDtype } from './feature-view.ts';
import { TagInput, tagRecord } from './tag.ts';

const FeatureInput = builder.inputType('FeatureInput', {
  description: 'A column of a table that shall be a feature.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The name of the column.' }),
    dtype: t.field({
      type: FeatureDtype,
      required: true,
      description: 'Its type; one that is narrower than the column only where the column’s values fit.',
    }),
    description: t.string({ description: 'What people shall read of it, at most 10,000 characters.' }),
    tags: t.field({ type: [TagInput], description: 'Its tags; each key once, at most 100.' }),
  }),
});

const FeatureSourceInput = builder.inputType('FeatureSourceInput', {
  description: 'The Iceberg table that a feature view shall read.',
  fields: (t) => ({
    tableName: t.string({ required: true, description: 'What it is called within its schema.' }),
    catalog: t.string({ description: 'The name of its catalog; `iceberg` when absent.' }),
    schema: t.string({ description: 'Its schema within the catalog; `gold` when absent.' }),
    timestampField: t.string({
      description: 'The column with the time of each row; may be left out when only one can be it.',
    }),
    createdTimestampColumn: t.string({
      description: 'The column that decides between rows of one time, the later counting.',
    }),
  }),
});

export const FeatureViewInputType = builder.inputType('FeatureViewInput', {
  description: 'A feature view as it shall be.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'A letter and then letters, digits and `_`, at most 48; unique in any case.',
    }),
    entities: t.stringList({
      required: true,
      description: 'The columns that tell whose features a row has: int, long or string.',
    }),
    features: t.field({
      type: [FeatureInput],
      required: true,
      description: 'The columns that are features, 1 to 500.',
    }),
    source: t.field({ type: FeatureSourceInput, required: true, description: 'The table that it reads.' }),
    ttlDays: t.float({
      description: 'How many days old a row may be to count; without this and `ttlSeconds` of any age.',
    }),
    ttlSeconds: t.int({ description: 'The same in seconds: one of the two.' }),
    online: t.boolean({
      description: 'Whether its newest values shall be kept where they are read at once; false when absent.',
    }),
    description: t.string({ description: 'What people shall read of it, at most 10,000 characters.' }),
    owner: t.string({ description: 'Who answers for it, at most 250 characters.' }),
    tags: t.field({ type: [TagInput], description: 'Its tags; each key once, at most 100.' }),
  }),
});

/** @throws AsgardError INVALID_INPUT with every issue, named as the input's fields are */
export function parseFeatureView(input: typeof FeatureViewInputType.$inferInput): FeatureViewInput {
  const { features, source, tags, ...rest } = input;
  return parseInput(
    featureViewInput,
    {
      ...withoutNulls(rest),
      features: features.map((feature, index) => ({
        ...withoutNulls(feature),
        tags: tagRecord(['features', index, 'tags'], feature.tags),
      })),
      source: withoutNulls(source),
      tags: tagRecord(['tags'], tags),
    },
    `the feature view "${input.name.slice(0, 100)}" was not applied`,
  );
}
