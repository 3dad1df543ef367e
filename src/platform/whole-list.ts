import { z } from 'zod';

/**
 * A list of whatever, of at most `max` items, which is given on as it is. `z.array(z.unknown())` looks at each item and copies the
 * list: a tenth of a second for three million.
 */
export function wholeList(max = Number.POSITIVE_INFINITY) {
  return z
    .unknown()
    .transform((input, { issues }): unknown[] => {
      if (Array.isArray(input) && input.length <= max) return input;
      issues.push(
        Array.isArray(input)
          ? { code: 'too_big', origin: 'array', maximum: max, inclusive: true, input }
          : { code: 'invalid_type', expected: 'array', input },
      );
      return z.NEVER;
    })
    .meta({ wire: { type: 'array', items: {}, ...(Number.isFinite(max) ? { maxItems: max } : {}) } });
}
