import { z } from 'zod';

/**
 * A list of at most `max` items, or a map of at most `max` entries, counted before any of them is looked at: millions of
 * bad ones would be millions of issues. A map must not have the key `__proto__` either, which z.record drops without a
 * word, as assigning it would change the object's prototype.
 */
export function bounded<Schema extends z.ZodType>(schema: Schema, max: number) {
  return z.preprocess((input, context) => {
    if (Array.isArray(input)) {
      if (input.length > max)
        context.addIssue({ code: 'too_big', origin: 'array', maximum: max, inclusive: true, input });
    } else if (typeof input === 'object' && input !== null) {
      if (Object.hasOwn(input, '__proto__')) {
        context.addIssue({ code: 'custom', path: ['__proto__'], message: 'is not a name that can be used' });
      }
      if (Object.keys(input).length > max) {
        context.addIssue({ code: 'too_big', origin: 'object', maximum: max, inclusive: true, input });
      }
    }
    return input;
  }, schema);
}
