import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { issueWords } from '../../schema/issue-words.ts';

function wordsOf(schema: z.ZodType, input: unknown): string[] {
  return schema.safeParse(input, { error: issueWords }).error?.issues.map(({ message }) => message) ?? [];
}

describe('what a form says of', () => {
  test.each([
    ['a number that is too small', z.int().min(60), 59, 'must be at least 60'],
    ['a number that is too big', z.int().max(3600), 3601, 'must be at most 3600'],
    ['an empty text', z.string().min(1), '', 'must not be empty'],
    ['a short text', z.string().min(3), 'ab', 'must have at least 3 characters'],
    ['a long text', z.string().max(1), 'ab', 'must have at most 1 character'],
    ['a long list', z.array(z.string()).max(2), ['a', 'b', 'c'], 'must have at most 2 items'],
    ['a short list', z.array(z.string()).min(1), [], 'must have at least 1 item'],
    ['another word', z.enum(['ALL', 'NONE']), 'SOME', 'must be one of ALL, NONE'],
    ['what a schema has words for', z.string().min(2, 'is no name'), '', 'is no name'],
  ])('%s', (_what, schema, input, words) => {
    expect(wordsOf(schema, input)).toEqual([words]);
  });
});
