import { tags as tagMap } from '../../src/models/naming.ts';
import { AsgardError, invalidInput } from '../../src/platform/errors.ts';
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

const MAX_SEARCHED = 10;

/** What an argument of tags does in a list that MLflow holds. */
export function tagSearchDescription(things: string): string {
  return (
    `Only ${things} with all of these tags, at most ${MAX_SEARCHED}, each key once. In a value the characters \`%\`, ` +
    '`\'`, `"`, `\\` and the backtick stand for any one.'
  );
}

/** Tags to find things by. @throws AsgardError INVALID_INPUT for keys that no tag has, values too long, or too many */
export function searchedTags(
  path: readonly (string | number)[],
  tags: readonly (typeof TagInput.$inferInput)[] | null | undefined,
): Record<string, string> {
  if ((tags ?? []).length > MAX_SEARCHED) {
    throw invalidInput(path, `"${path.join('.')}" must have at most ${MAX_SEARCHED} tags`);
  }
  const parsed = tagMap.safeParse(tagRecord(path, tags));
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({
    path: [...path, ...issue.path.map(String)],
    message: issue.message,
    type: issue.code,
  }));
  throw new AsgardError('INVALID_INPUT', `"${path.join('.')}" has a tag that there cannot be`, { issues });
}
