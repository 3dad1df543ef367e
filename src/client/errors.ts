import { ClientError } from 'graphql-request';
import { z } from 'zod';
import type { ErrorCode, ErrorFieldsFragment } from './generated/graphql.ts';

/** One thing that is wrong with an input. */
export interface RequestIssue {
  readonly path: readonly string[];
  readonly message: string;
  readonly type: string;
}

/**
 * A request that the platform answered with a failure, or did not answer. `code` is `UNAVAILABLE` also when the platform
 * cannot be reached, and `INTERNAL` for a code that this client does not know.
 */
export class AsgardRequestError extends Error {
  readonly code: ErrorCode;
  /** Whether the same request may succeed later. */
  readonly isRetryable: boolean;
  /** When that may be, as far as the platform said. */
  readonly retryAfterSeconds: number | undefined;
  /** What is wrong with the input; empty for every code but `INVALID_INPUT`. */
  readonly issues: readonly RequestIssue[];

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      isRetryable?: boolean;
      retryAfterSeconds?: number | undefined;
      issues?: readonly RequestIssue[];
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AsgardRequestError';
    this.code = code;
    this.isRetryable = options.isRetryable ?? false;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.issues = options.issues ?? [];
  }
}

/** The members of a result union that are not failures. */
export type Success<Result> = Exclude<Result, { readonly __typename: `${string}Error` }>;

/** The success in a result union. @throws AsgardRequestError for a failure in it */
export function successOf<Result extends { readonly __typename: string }>(result: Result): Success<Result> {
  if (!isFailure(result)) return result as Success<Result>; // what `isFailure` leaves; Exclude cannot follow a guard
  const issues = 'issues' in result ? result.issues : [];
  const isRetryable = 'isRetryable' in result && result.isRetryable;
  const retryAfterSeconds = ('retryAfterSeconds' in result && result.retryAfterSeconds) || undefined;
  throw new AsgardRequestError(result.code, result.message, { issues, isRetryable, retryAfterSeconds });
}

/** What a query gave. @throws AsgardRequestError NOT_FOUND when that is nothing */
export function found<T>(thing: T | null, name: string): T {
  if (thing === null) throw new AsgardRequestError('NOT_FOUND', `there is no ${name}`);
  return thing;
}

const CODES = [
  'INVALID_INPUT',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'RATE_LIMITED',
  'NOT_FOUND',
  'CONFLICT',
  'QUEUE_FULL',
  'TOO_LARGE',
  'TOO_COMPLEX',
  'NOT_IMPLEMENTED',
  'UPSTREAM',
  'UNAVAILABLE',
  'TIMEOUT',
  'INTERNAL',
  'BAD_REQUEST',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
] as const satisfies readonly ErrorCode[];

const responseError = z.object({
  message: z.string(),
  extensions: z
    .object({
      code: z.enum(CODES).catch('INTERNAL'),
      isRetryable: z.boolean().default(false),
      retryAfterSeconds: z.number().optional(),
      issues: z
        .array(z.object({ path: z.array(z.coerce.string()), message: z.string(), type: z.string() }))
        .default([]),
    })
    .default({ code: 'INTERNAL', isRetryable: false, issues: [] }),
});

/** The first of a response's errors. @param retryAfter the header of that name, if there was one */
export function responseErrorOf(
  errors: readonly unknown[],
  cause?: unknown,
  retryAfter?: string | null,
): AsgardRequestError {
  const parsed = responseError.safeParse(errors[0]);
  if (!parsed.success)
    return new AsgardRequestError('INTERNAL', 'the platform answered in a form not known', { cause });
  const { message, extensions } = parsed.data;
  const { retryAfterSeconds = secondsOf(retryAfter), code, isRetryable, issues } = extensions;
  return new AsgardRequestError(code, message, { isRetryable, retryAfterSeconds, issues, cause });
}

function secondsOf(retryAfter: string | null | undefined): number | undefined {
  return /^\d{1,9}$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
}

/** What a failed HTTP request means. A caller's own abort is not ours to turn: it comes back as it is. */
export function requestErrorOf(error: unknown, url: string, signal?: AbortSignal): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (error instanceof ClientError) {
    const { errors, status, headers } = error.response;
    const retryAfter = headers instanceof Headers ? headers.get('retry-after') : null;
    if (errors !== undefined && errors.length > 0) return responseErrorOf(errors, error, retryAfter);
    return new AsgardRequestError('INTERNAL', `${url} answered with HTTP status ${status}`, { cause: error });
  }
  const why = error instanceof Error ? error.message : String(error);
  return new AsgardRequestError('UNAVAILABLE', `cannot reach ${url}: ${why}`, { isRetryable: true, cause: error });
}

function isFailure(result: { readonly __typename: string }): result is ErrorFieldsFragment & { __typename: string } {
  return result.__typename.endsWith('Error');
}
