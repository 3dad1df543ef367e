import { z } from 'zod';
import { VERSION_REFERENCE } from '../inference/prediction-request.ts';
import { aliasName } from '../models/alias.ts';
import { tags, tagValue } from '../models/naming.ts';
import { aliasMove, changeableTag, type RegistryChange, registryChange } from '../models/registry-changes.ts';
import { bounded } from '../platform/bounded.ts';
import { storableText } from '../platform/text.ts';
import { knownFields } from './known-fields.ts';
import { CURSOR } from './list-cursor.ts';
import { looseInteger, looseTruth } from './wire.ts';
import { components } from './wire-answers.ts';

/** What `/mlops/models` takes, by the wire's names, as `wire.ts` says. */

const MAX_TAGS = 100;
const MAX_PAGE = 1000;
/** MLflow gives 1,000 at once, and reading on takes some more than are asked for. */
export const MAX_MODELS = 500;
const MAX_SEARCHED_TAGS = 10;
const VERSION = '^[1-9][0-9]{0,8}$';

export const modelPath = z.object({
  name: z
    .string()
    .describe('The name, percent-encoded.')
    .meta({ examples: ['churn_predictor'] }),
});
export const versionPath = modelPath.extend({
  version: z
    .string()
    .describe('The number of a version.')
    .meta({ examples: ['1'] }),
});
/** What names a version where it is asked to predict. */
export const referencePath = modelPath.extend({
  version: z
    .string()
    .regex(VERSION_REFERENCE, 'must be the number of a version, "latest", or an alias')
    .describe('The number of a version, an alias, or `latest`: the newest version that works.')
    .meta({ examples: ['1', 'champion'] }),
});
export const aliasPath = modelPath.extend({
  alias: z
    .string()
    .describe('An alias of the model.')
    .meta({ examples: ['champion'] }),
});
export const newAliasPath = modelPath.extend({
  alias: aliasName
    .describe('The alias, which may be new: letters, digits, `_` and `-`; neither `latest` nor a number nor `v1`.')
    .meta({ examples: ['champion'] }),
});

/** Which version an alias shall name. */
export const aliasRequest = knownFields(
  z.object({
    version: z
      .preprocess((value) => (typeof value === 'number' ? String(value) : value), aliasMove.shape.version)
      .describe('The number of the version.')
      .meta({
        wire: {
          anyOf: [
            { type: 'string', pattern: VERSION },
            { type: 'integer', minimum: 1, maximum: 999_999_999 },
          ],
        },
      }),
    force: looseTruth(aliasMove.shape.force).describe('Also a version that is refused: it is served elsewhere.'),
  }),
)
  .meta({ description: 'The version that an alias shall name.', examples: [{ version: '3' }] })
  .register(components, { id: 'ModelAliasRequest' });

/** What shall change of a model or a version: a JSON merge patch of two members. */
export const changeRequest = knownFields(
  z.object({
    description: registryChange.shape.description.unwrap().nullish().describe('What people shall read of it.'),
    tags: bounded(
      z.record(changeableTag, tagValue.nullable()).meta({ maxProperties: MAX_TAGS }).nullish(),
      MAX_TAGS,
    ).describe('Tags to set; `null` removes one. Those that are not named stay.'),
  }),
)
  .transform(({ description, tags }): RegistryChange => {
    const entries = Object.entries(tags ?? {});
    return {
      description: description ?? undefined,
      tags: Object.fromEntries(entries.flatMap(([key, value]) => (value === null ? [] : [[key, value]]))),
      removeTags: entries.flatMap(([key, value]) => (value === null ? [key] : [])),
    };
  })
  .meta({
    description: 'What shall change; what is absent stays.',
    examples: [{ description: 'Trained on the data of October', tags: { team: 'data-science', draft: null } }],
  })
  .register(components, { id: 'ModelChange' });

/** `key=value` → a tag; no key holds a `=`. */
const searchedTags = z
  .preprocess(
    (value) => (typeof value === 'string' ? [value] : value),
    z
      .array(z.string().regex(/^[^=]+=/, 'must be "key=value"'))
      .max(MAX_SEARCHED_TAGS)
      .default([]),
  )
  .transform((given): unknown =>
    Object.fromEntries(given.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)])),
  )
  .pipe(tags)
  .describe('Only what has this tag, as `key=value`; of several all must be there.')
  .meta({ wire: { type: 'array', items: { type: 'string', pattern: '^[A-Za-z0-9_]+=[A-Za-z0-9_]*$' }, maxItems: 10 } });

/** The query of the list of models. */
export const modelListQuery = z.object({
  limit: z
    .preprocess(looseInteger, z.int().min(1).max(MAX_MODELS).optional())
    .describe('At most this many. All when neither this nor `cursor` is given.'),
  cursor: z
    .string()
    .regex(CURSOR, 'is no cursor of this list: take it from the Link of the page before')
    .optional()
    .describe('The `cursor` of the page before’s `Link`.'),
  search: storableText(250).optional().describe('Only models whose name contains this, in any case.'),
  tag: searchedTags,
});

/** The query of the list of a model's versions. */
export const versionListQuery = z.object({
  limit: z
    .preprocess(looseInteger, z.int().min(1).max(MAX_PAGE).default(100))
    .describe('At most this many.')
    .meta({ default: 100 }),
  cursor: z
    .string()
    .regex(new RegExp(VERSION), 'is no cursor of this list: give the next_cursor of the page before')
    .optional()
    .describe('The `next_cursor` of the page before.'),
  tag: searchedTags,
  servable: z
    .enum(['true', 'false'])
    .transform((word) => word === 'true')
    .optional()
    .describe('Only versions that were tried and work, or that were refused.'),
});
