import type { z } from 'zod';
import type { InputIssue } from '../platform/errors.ts';

/** zod's own form of a problem, with the value it is about (`reportInput`). */
type Issue = z.core.$ZodIssue;

/**
 * FastAPI's wording for what zod finds, e.g. `Input should be greater than or equal to 60`. A message that the schema
 * itself gives goes first. To be handed to zod as the `error` of one parse.
 */
export function fastApiMessage(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'Field required' : `Input should be a valid ${nounOf(issue.expected)}`;
    case 'too_small':
      if (issue.origin === 'string') return `String should have at least ${issue.minimum} character(s)`;
      if (isNumeric(issue.origin)) return `Input should be greater than or equal to ${issue.minimum}`;
      return `Should have at least ${issue.minimum} item(s)`;
    case 'too_big':
      if (issue.origin === 'string') return `String should have at most ${issue.maximum} character(s)`;
      if (isNumeric(issue.origin)) return `Input should be less than or equal to ${issue.maximum}`;
      return `Should have at most ${issue.maximum} item(s)`;
    case 'invalid_value':
      return `Input should be ${wordsOf(issue.values)}`;
    default:
      return undefined;
  }
}

/** Of many mistakes the first ones are told. */
const MAX_ISSUES = 100;

/** zod's issues as ours, with FastAPI's words for the kind of mistake: the first 100. A bad key of a map is told by what is wrong with the key. */
export function toInputIssues(issues: readonly Issue[]): InputIssue[] {
  return issues.slice(0, MAX_ISSUES).flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
    if (issue.code !== 'invalid_key') return [{ path, message: issue.message, type: typeOf(issue) }];
    return issue.issues.map((inner) => ({ path, message: `the name ${inner.message}`, type: typeOf(inner) }));
  });
}

function typeOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'missing';
      return issue.path.length === 0 ? 'model_attributes_type' : kindOf(issue.expected);
    case 'too_small':
      if (issue.origin === 'string') return 'string_too_short';
      return isNumeric(issue.origin) ? 'greater_than_equal' : 'too_short';
    case 'too_big':
      if (issue.origin === 'string') return 'string_too_long';
      return isNumeric(issue.origin) ? 'less_than_equal' : 'too_long';
    case 'invalid_format':
      return 'string_pattern_mismatch';
    case 'invalid_value':
      return 'enum';
    default:
      return 'value_error';
  }
}

/** `'a', 'b' or 'c'` */
function wordsOf(values: readonly unknown[]): string {
  const words = values.map((value) => `'${String(value)}'`);
  return [words.slice(0, -1).join(', '), words.at(-1)].filter((part) => part !== '').join(' or ');
}

function isNumeric(origin: string): boolean {
  return origin === 'number' || origin === 'int';
}

// The wire's numbers are all integers, and zod says `number` of what is no number at all.
const NOUNS: Readonly<Record<string, string>> = {
  int: 'integer',
  number: 'integer',
  array: 'list',
  record: 'dictionary',
  object: 'dictionary',
};
const KINDS: Readonly<Record<string, string>> = {
  number: 'int',
  array: 'list',
  record: 'dict',
  object: 'dict',
  boolean: 'bool',
};

function nounOf(expected: string): string {
  return NOUNS[expected] ?? expected;
}

function kindOf(expected: string): string {
  return `${KINDS[expected] ?? expected}_type`;
}
