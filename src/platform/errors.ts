/** The closed table of expected failures. `status` is the HTTP status; `retryable` says that the same request may succeed later. */
export const ERROR_CODES = {
  INVALID_INPUT: { status: 422, retryable: false },
  UNAUTHORIZED: { status: 401, retryable: false },
  NOT_FOUND: { status: 404, retryable: false },
  CONFLICT: { status: 409, retryable: false },
  QUEUE_FULL: { status: 429, retryable: true },
  TOO_LARGE: { status: 413, retryable: false },
  NOT_IMPLEMENTED: { status: 501, retryable: false },
  UPSTREAM: { status: 502, retryable: true },
  UNAVAILABLE: { status: 503, retryable: true },
  TIMEOUT: { status: 504, retryable: true },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * When a client should ask again: room in a full queue comes with the next job that is begun; the slowest part, MLflow, is up
 * some seconds after its start.
 */
export const RETRY_AFTER_SECONDS: Readonly<Partial<Record<ErrorCode, number>>> = { QUEUE_FULL: 10, UNAVAILABLE: 2 };

/** One thing that is wrong with an input. `path` leads to it from the input's root, e.g. `['inputs', 'age', 3]`. */
export interface InputIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** A stable word for the kind of mistake, e.g. `missing`, `too_small`. */
  readonly type: string;
}

/**
 * A failure that a caller can expect and act on. Its message says what failed, which id, and what to do;
 * it is safe to show. Anything else that is thrown is a fault of ours: it is logged once and masked.
 */
export class AsgardError extends Error {
  readonly code: ErrorCode;
  readonly issues: readonly InputIssue[];

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; issues?: readonly InputIssue[] } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AsgardError';
    this.code = code;
    this.issues = options.issues ?? [];
  }
}

/** Whether something that was thrown is the expected failure of this code. */
export function hasCode(error: unknown, code: ErrorCode): error is AsgardError {
  return error instanceof AsgardError && error.code === code;
}

/** Whether what was thrown is an expected failure that may pass. */
export function isRetryable(error: unknown): boolean {
  return error instanceof AsgardError && ERROR_CODES[error.code].retryable;
}

/** An `INVALID_INPUT` error about one field. */
export function invalidInput(path: readonly (string | number)[], message: string, type = 'value_error'): AsgardError {
  return new AsgardError('INVALID_INPUT', message, { issues: [{ path, message, type }] });
}

/** The message of whatever was thrown, for a line of text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether something that was thrown is the system's error of one of these codes, such as `ENOENT`. */
export function isSystemError(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}

/** Marks code that no value reaches; a new member of a union makes the call a type error. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
