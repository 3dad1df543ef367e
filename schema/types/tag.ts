import { builder } from '../builder.ts';

/** A key with a value, on whatever can bear tags. */
export const Tag = builder.objectRef<[key: string, value: string]>('Tag').implement({
  description: 'A key with a value, to find and sort things by.',
  fields: (t) => ({
    key: t.string({ description: 'The key.', resolve: ([key]) => key }),
    value: t.string({ description: 'The value.', resolve: ([, value]) => value }),
  }),
});

export const TagInput = builder.inputType('TagInput', {
  description: 'A key with a value.',
  fields: (t) => ({
    key: t.string({ required: true, description: 'The key.' }),
    value: t.string({ required: true, description: 'The value.' }),
  }),
});
