import { z } from 'zod';
import { bounded } from '../platform/bounded.ts';
import { storableText } from '../platform/text.ts';
import { aliasName } from './alias.ts';
import { TAG_PATTERN, tagName, tagValue } from './naming.ts';

const MAX_TAGS = 100;

/** Tags that may be changed: what the platform says of a version, it says alone. */
export const changeableTag = tagName
  .regex(/^(?!asgard\.)/, 'must not begin with "asgard.": those are set by the platform')
  .meta({ pattern: `^(?!asgard\\.)${TAG_PATTERN.slice(1)}` });

/** What shall change of a model or a version; what is absent stays. */
export const registryChange = z.object({
  /** Empty: none any more. */
  description: storableText(5000).optional(),
  /** Set beside those that are there, or in their place. */
  tags: bounded(z.record(changeableTag, tagValue).meta({ maxProperties: MAX_TAGS }), MAX_TAGS).default({}),
  /** Names of tags that go; of one that is not there nothing is said. */
  removeTags: bounded(z.array(changeableTag).max(MAX_TAGS), MAX_TAGS).default([]),
});

export type RegistryChange = z.infer<typeof registryChange>;

/** That an alias shall name a version, from now on. */
export const aliasMove = z.object({
  alias: aliasName,
  version: z.string().regex(/^[1-9][0-9]{0,8}$/, 'must be the number of a version'),
  /** Also to a version that the gate refused, or has not looked at. */
  force: z.boolean().default(false),
});

export type AliasMove = z.infer<typeof aliasMove>;
