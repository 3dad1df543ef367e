import { z } from 'zod';
import { nameText, storableText } from '../platform/text.ts';

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

/** Names of tags are those that MLflow takes. */
const tagName = storableText(250)
  .regex(/^[\w.:/ -]+$/, 'must be made of letters, digits and "_", "-", ".", ":", "/", " "')
  .meta({ pattern: '^[A-Za-z0-9_.:/ -]+$' });

/**
 * An object that becomes a map. It must not have the key `__proto__`, which z.record drops without a word, as assigning
 * it would change the object's prototype.
 */
export function withoutProto<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess((value, context) => {
    if (typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__')) {
      context.addIssue({ code: 'custom', path: ['__proto__'], message: 'is not a name that can be used' });
    }
    return value;
  }, schema);
}

/** Tags of a run, a model version or a job: at most 100, keys up to 250 characters, values up to 5,000. */
export const tags = withoutProto(
  z
    .record(tagName, storableText(5000))
    .refine((value) => Object.keys(value).length <= 100, 'must have at most 100 tags')
    .meta({ maxProperties: 100 }),
);
