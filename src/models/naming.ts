import { z } from 'zod';
import { bounded } from '../platform/bounded.ts';
import { AsgardError } from '../platform/errors.ts';
import { isStorableText, nameText, storableText } from '../platform/text.ts';

/**
 * The name of a registered model, as it may be given to a new one. MLflow names a version as `models:/<name>/<version>`
 * or `models:/<name>@<alias>`.
 */
export const modelName = nameText(250)
  .regex(/^(?!\.\.|\.$)[^/:?@]+$/, 'must not contain "/", ":", "?" or "@", nor begin with ".."')
  .meta({
    pattern:
      '^(?!\\.\\.|\\.$)[^/:?@\\s\\ufeff\\u0000-\\u001f\\u007f-\\u009f]([^/:?@\\u0000-\\u001f\\u007f-\\u009f]*[^/:?@\\s\\ufeff\\u0000-\\u001f\\u007f-\\u009f])?$',
  });

/** MLflow's own limit, in characters. */
const MAX_NAME = 256;

/** Looks at a name that a model may have. @throws AsgardError NOT_FOUND of one that none can have: MLflow fails on some */
export function checkModelName(name: string): void {
  if (isStorableText(name) && name.length <= MAX_NAME) return;
  throw new AsgardError('NOT_FOUND', 'there is no model of this name');
}

/** What `tagName` takes, as a JSON Schema's pattern has it. */
export const TAG_PATTERN = '^(?!\\.\\.|/)(?!.*/(/|$))(?!(.*/)?\\.{1,2}(/|$))[A-Za-z0-9_.:/ -]+$';

/** Names of tags are those that MLflow takes: also a path that is as short as it can be. */
export const tagName = storableText(250)
  .regex(/^[\w.:/ -]+$/, 'must be made of letters, digits and "_", "-", ".", ":", "/", " "')
  .regex(
    /^(?!\.\.|\/)(?!.*\/(\/|$))(?!(.*\/)?\.{1,2}(\/|$))/,
    'must not begin with ".." or "/", end with "/", nor hold "//", "/./" or "/../"',
  )
  .meta({ pattern: TAG_PATTERN });

/** What a tag says. */
export const tagValue = storableText(5000);

const MAX_TAGS = 100;

/** Tags of a run, a model version or a job: at most 100, keys up to 250 characters, values up to 5,000. */
export const tags = bounded(z.record(tagName, tagValue).meta({ maxProperties: MAX_TAGS }), MAX_TAGS);
