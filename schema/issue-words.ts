import type { z } from 'zod';

/**
 * What is wrong with an input, as a form shows it at the field: `must be at least 60`. A message that the schema itself gives goes
 * first. To be handed to zod as the `error` of one parse.
 */
export function issueWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'too_small':
      if (issue.origin === 'string' && issue.minimum === 1) return 'must not be empty';
      return boundWords(issue.origin, 'at least', issue.minimum);
    case 'too_big':
      return boundWords(issue.origin, 'at most', issue.maximum);
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`;
    default:
      return undefined;
  }
}

function boundWords(origin: string, bound: string, limit: number | bigint): string {
  if (origin === 'string') return `must have ${bound} ${limit} ${limit === 1 ? 'character' : 'characters'}`;
  if (origin === 'number' || origin === 'int') return `must be ${bound} ${limit}`;
  return `must have ${bound} ${limit} ${limit === 1 ? 'item' : 'items'}`;
}
