import { PothosValidationError } from '@pothos/core';
import { GraphQLError } from 'graphql';
import type { z } from 'zod';
import { expectedFailure } from '../src/database/failure.ts';
import {
  AsgardError,
  assertNever,
  ERROR_CODES,
  type ErrorCode,
  type InputIssue,
  RETRY_AFTER_SECONDS,
} from '../src/platform/errors.ts';
import { builder } from './builder.ts';
import { ErrorCodeType } from './error-code.ts';
import { issueWords } from './issue-words.ts';

/** An expected failure as a member of a result union. Each class below is one GraphQL type. */
abstract class Failure extends Error {
  readonly code: ErrorCode;

  constructor(error: AsgardError) {
    super(error.message, { cause: error });
    this.name = new.target.name;
    this.code = error.code;
  }
}

class InvalidInputFailure extends Failure {
  readonly issues: readonly InputIssue[];

  constructor(error: AsgardError) {
    super(error);
    this.issues = error.issues;
  }
}

class NotFoundFailure extends Failure {}

class ConflictFailure extends Failure {}

class UnavailableFailure extends Failure {
  readonly isRetryable: boolean;
  readonly retryAfterSeconds: number | null;

  constructor(error: AsgardError) {
    super(error);
    this.isRetryable = ERROR_CODES[error.code].retryable;
    this.retryAfterSeconds = RETRY_AFTER_SECONDS[error.code] ?? null;
  }
}

class QueueFullFailure extends UnavailableFailure {}

/** The members that every result union takes its failures from. */
export const failures = {
  invalidInput: InvalidInputFailure,
  notFound: NotFoundFailure,
  conflict: ConflictFailure,
  unavailable: UnavailableFailure,
  queueFull: QueueFullFailure,
};

/** The member of a result union that shows a failure, or undefined when only an error of the response can. */
function failureOf(error: AsgardError): Failure | undefined {
  switch (error.code) {
    case 'INVALID_INPUT':
    case 'TOO_LARGE':
      return new InvalidInputFailure(error);
    case 'NOT_FOUND':
      return new NotFoundFailure(error);
    case 'CONFLICT':
      return new ConflictFailure(error);
    case 'QUEUE_FULL':
      return new QueueFullFailure(error);
    case 'UNAVAILABLE':
    case 'UPSTREAM':
    case 'TIMEOUT':
      return new UnavailableFailure(error);
    case 'UNAUTHORIZED':
    case 'NOT_IMPLEMENTED':
      return undefined;
    default:
      return assertNever(error.code);
  }
}

/** Of many mistakes the first ones are told. */
const MAX_ISSUES = 100;

/**
 * An input as a domain schema has it.
 * @param what the first words of a refusal
 * @param names of root fields that GraphQL calls otherwise than the domain
 * @throws AsgardError INVALID_INPUT with every issue, its path by the names of the GraphQL input
 */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  what: string,
  names: Record<string, string> = {},
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(input, { error: issueWords });
  if (success) return data;
  const issues = error.issues.slice(0, MAX_ISSUES).map((issue): InputIssue => {
    const [root, ...rest] = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
    const path = root === undefined ? [] : [names[root] ?? root, ...rest];
    return { path, message: issue.message, type: issue.code };
  });
  const lines = issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`));
  throw new AsgardError('INVALID_INPUT', `${what}: ${lines.join('; ')}`, { cause: error, issues });
}

/** Runs a call into the domain for a field with a result union: an expected failure is thrown as the union's member. */
export async function withFailures<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const expected = expectedFailure(error);
    throw (expected === undefined ? undefined : failureOf(expected)) ?? error;
  }
}

/**
 * An expected failure as an error of the response: `extensions` holds `code`, `isRetryable` and, for bad input, `issues`.
 * Undefined for a fault of ours, which the caller logs and masks.
 */
export function presentError(error: unknown): GraphQLError | undefined {
  if (error instanceof GraphQLError && error.originalError == null) return variableError(error) ?? error;
  const original = error instanceof GraphQLError ? error.originalError : error;
  const thrown = original instanceof Failure ? original.cause : original;
  const expected = expectedFailure(thrown);
  const place = error instanceof GraphQLError ? { nodes: error.nodes ?? null, path: error.path ?? null } : {};
  if (expected !== undefined) {
    const { code } = expected;
    const issues = expected.issues.length === 0 ? {} : { issues: expected.issues };
    const seconds = RETRY_AFTER_SECONDS[code];
    const retryAfter = seconds === undefined ? {} : { retryAfterSeconds: seconds };
    const extensions = { code, isRetryable: ERROR_CODES[code].retryable, ...retryAfter, ...issues };
    return new GraphQLError(expected.message, { ...place, extensions });
  }
  // Bad arguments of a connection, e.g. a cursor that none of ours is.
  if (thrown instanceof PothosValidationError) {
    const argument = /"(first|last)"/.exec(thrown.message)?.[1];
    const issue =
      argument === undefined ? undefined : { path: [argument], message: thrown.message, type: 'value_error' };
    const extensions = { code: 'INVALID_INPUT', isRetryable: false, ...(issue && { issues: [issue] }) };
    return new GraphQLError(thrown.message, { ...place, extensions });
  }
  if (error instanceof GraphQLError && original instanceof GraphQLError) {
    const shown = presentError(original);
    // The outer one says where.
    return shown === original ? (variableError(error) ?? error) : shown;
  }
  return undefined;
}

/** What the executor calls such a value in a subscription; in other operations it has no word for it. */
const SUBSCRIPTION_CODE = 'BAD_USER_INPUT';

/** What graphql-js says of a value that does not fit its variable, as the bad input that it is. */
function variableError(error: GraphQLError): GraphQLError | undefined {
  const [, variable, place] = /^Variable "\$(\w+)" (?:.* at "(\1[.[][^"]*)"; )?/s.exec(error.message) ?? [];
  const { code = SUBSCRIPTION_CODE } = error.extensions;
  if (variable === undefined || error.path !== undefined || code !== SUBSCRIPTION_CODE) return undefined;
  const path = place === undefined ? [variable] : place.split(/[.[\]]+/).filter((part) => part !== '');
  const issues = [{ path, message: error.message, type: 'invalid_type' }];
  return new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    extensions: { code: 'INVALID_INPUT', isRetryable: false, issues },
  });
}

const ErrorInterface = builder.interfaceRef<Failure>('Error').implement({
  description: 'An expected failure, that a caller can act on.',
  fields: (t) => ({
    message: t.exposeString('message', {
      description: 'What failed, of which id, and what to do about it; for people to read.',
    }),
    code: t.expose('code', { type: ErrorCodeType, description: 'The kind of failure, for programs to act on.' }),
  }),
});

const InputIssueType = builder.objectRef<InputIssue>('InputIssue').implement({
  description: 'One thing that is wrong with an input.',
  fields: (t) => ({
    path: t.stringList({
      description: 'The way to it from the root of the input: field names and list positions.',
      resolve: (issue) => issue.path.map(String),
    }),
    message: t.exposeString('message', { description: 'What is wrong with it, for people to read.' }),
    type: t.exposeString('type', { description: 'A stable word for the kind of mistake, e.g. `too_small`.' }),
  }),
});

builder.objectType(InvalidInputFailure, {
  name: 'InvalidInputError',
  description: 'The input breaks rules. Codes: INVALID_INPUT, TOO_LARGE. Nothing was done.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    issues: t.field({
      type: [InputIssueType],
      description: 'Everything that is wrong with the input.',
      resolve: (error) => [...error.issues],
    }),
  }),
});

builder.objectType(NotFoundFailure, {
  name: 'NotFoundError',
  description: 'What the input names does not exist. Code: NOT_FOUND.',
  interfaces: [ErrorInterface],
});

builder.objectType(ConflictFailure, {
  name: 'ConflictError',
  description: 'The present state does not allow what was asked for. Code: CONFLICT.',
  interfaces: [ErrorInterface],
});

const retryAfterField = {
  nullable: true,
  description: 'After how many seconds to ask again, as REST’s header Retry-After says; null when nobody knows.',
} as const;

builder.objectType(UnavailableFailure, {
  name: 'UnavailableError',
  description:
    'A part of the platform, or a service behind it, did not answer as it should. Codes: UNAVAILABLE, UPSTREAM, TIMEOUT.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    isRetryable: t.exposeBoolean('isRetryable', { description: 'Whether the same request may succeed later.' }),
    retryAfterSeconds: t.exposeInt('retryAfterSeconds', retryAfterField),
  }),
});

builder.objectType(QueueFullFailure, {
  name: 'QueueFullError',
  description: 'As many jobs wait as may (`ASGARD_MAX_QUEUED`): nothing was taken. Code: QUEUE_FULL.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    isRetryable: t.exposeBoolean('isRetryable', { description: 'Always true: jobs that end make room.' }),
    retryAfterSeconds: t.exposeInt('retryAfterSeconds', retryAfterField),
  }),
});
