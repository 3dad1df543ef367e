import { builder } from '../builder.ts';
import { recordOf } from '../input.ts';

/** A key with a value, on whatever can bear tags. */
export const Tag = builder.objectRef<[key: string, value: string]>('Tag').implement({
  description: 'A key with a value, to find and sort things by.',
  fields: (t) => ({
    key: t.string({ description: 'What kind of tag; unique among the tags of one thing.', resolve: ([key]) => key }),
    value: t.string({ description: 'Any text, also none.', resolve: ([, value]) => value }),
  }),
});

/** The `tags` of whatever bears them, for use as its field's options. */
export function tagsField(description = 'What it is tagged with.') {
  const type: [typeof Tag] = [Tag];
  return { type, description, resolve: ({ tags }: Tagged) => Object.entries(tags) };
}

interface Tagged {
  readonly tags: Readonly<Record<string, string>>;
}

export const TagInput = builder.inputType('TagInput', {
  description: 'A tag to give a thing, or to find things by.',
  fields: (t) => ({
    key: t.string({
      required: true,
      description: 'What kind of tag: letters, digits and `_-.:/` and blanks; at most 250 characters.',
    }),
    value: t.string({ required: true, description: 'Any text of at most 5000 characters.' }),
  }),
});

/** Tags as the domain has them; none when absent. @throws AsgardError INVALID_INPUT when a key is given twice */
export function tagRecord(
  path: readonly (string | number)[],
  tags: readonly (typeof TagInput.$inferInput)[] | null | undefined,
): Record<string, string> {
  return recordOf(
    path,
    (tags ?? []).map(({ key, value }) => [key, value]),
  );
}
