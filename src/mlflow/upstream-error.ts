import { z } from 'zod';
import { AsgardError, type ErrorCode, hasCode } from '../platform/errors.ts';

const errorBody = z.object({
  error_code: z.union([z.string(), z.number()]).transform(String),
  message: z.string().default(''),
});

/**
 * The failure that MLflow answered, as one of ours with MLflow's own message.
 * @param status the HTTP status, 400 or more
 * @param body the answer's text: `{"error_code", "message"}` from MLflow, anything from a proxy before it
 */
export function answeredError(call: string, status: number, body: string): AsgardError {
  const parsed = errorBody.safeParse(parseOrNull(body));
  const word = parsed.success ? parsed.data.error_code : '';
  return new AsgardError(codeOf(word, status), `MLflow refused ${call}: ${answeredMessage(status, body)}`, {
    cause: new Error(`HTTP status ${status}, error code ${word === '' ? 'none' : word}`),
  });
}

/** What MLflow says of a failure that it answered, or the status when it says nothing. */
export function answeredMessage(status: number, body: string): string {
  const parsed = errorBody.safeParse(parseOrNull(body));
  return parsed.success && parsed.data.message !== '' ? parsed.data.message : `HTTP status ${status}`;
}

/** The failure of a call that got no answer. */
export function unansweredError(call: string, cause: unknown): AsgardError {
  const code = socketCode(cause);
  if (['TimeoutError', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'].includes(code)) {
    return new AsgardError('TIMEOUT', `MLflow did not answer ${call} in time; try again`, { cause });
  }
  return new AsgardError('UNAVAILABLE', `MLflow cannot be reached for ${call} (${code}); try again when it is up`, {
    cause,
  });
}

/** What was found, or null where MLflow says that there is none. */
export async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found;
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return null;
    throw error;
  }
}

/** What `search` finds; on a server before MLflow 3, which refuses a list in a filter, what `eachAlone` does. */
export async function searchOrEach<T>(search: () => Promise<T>, eachAlone: () => Promise<T>): Promise<T> {
  try {
    return await search();
  } catch (error) {
    if (hasCode(error, 'INVALID_INPUT')) return await eachAlone();
    throw error;
  }
}

/** The word that Node or undici has for why a request failed, e.g. `ECONNREFUSED`; of an error list, the first. */
export function socketCode(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return socketCode(error.errors[0]);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : 'unknown';
}

function codeOf(word: string, status: number): ErrorCode {
  switch (word) {
    case 'RESOURCE_DOES_NOT_EXIST':
    case 'NOT_FOUND':
      return 'NOT_FOUND';
    case 'RESOURCE_ALREADY_EXISTS':
    case 'ALREADY_EXISTS':
    case 'RESOURCE_CONFLICT':
      return 'CONFLICT';
    case 'INVALID_PARAMETER_VALUE':
    case 'BAD_REQUEST':
      return 'INVALID_INPUT';
    default:
      return status === 429 || status === 503 ? 'UNAVAILABLE' : 'UPSTREAM';
  }
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
