import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { GraphQLError, print } from 'graphql';
import { type Client, CloseCode } from 'graphql-ws';
import { AsgardRequestError, responseErrorOf } from './errors.ts';

/** The connection went away under a subscription; a new one may go on. */
export class ConnectionLostError extends Error {
  constructor(cause: unknown) {
    super('the connection to the platform was lost', { cause });
    this.name = 'ConnectionLostError';
  }
}

/** Closes that say that our own side is wrong: another try would end the same way. */
const REFUSING_CLOSE_CODES: readonly number[] = [CloseCode.Unauthorized, CloseCode.Forbidden];
const FATAL_CLOSE_CODES: readonly number[] = [
  CloseCode.BadRequest,
  CloseCode.BadResponse,
  CloseCode.Unauthorized,
  CloseCode.Forbidden,
  CloseCode.SubprotocolNotAcceptable,
  CloseCode.SubscriberAlreadyExists,
  CloseCode.TooManyInitialisationRequests,
];

/**
 * The payloads of one subscription, until the platform completes it.
 * @throws AsgardRequestError for an error of the platform, ConnectionLostError, or the signal's reason when it aborts
 */
export async function* payloadsOf<Data, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  signal: AbortSignal,
): AsyncGenerator<Data, void> {
  signal.throwIfAborted();
  const payloads = client.iterate<Data>({ query: print(document), variables });
  // Completes the subscription, so that a wait for its next payload ends at once.
  const stop = () => void payloads.return?.();
  signal.addEventListener('abort', stop);
  try {
    for await (const { data, errors } of payloads) {
      if (errors !== undefined) throw responseErrorOf(errors);
      if (data != null) yield data;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw failureOf(error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
  signal.throwIfAborted();
}

/** graphql-ws ends an iteration with what it was ended by: the errors of the operation, or the event that closed the socket. */
function failureOf(error: unknown): Error {
  if (error instanceof AsgardRequestError) return error;
  if (Array.isArray(error)) return responseErrorOf(error);
  if (error instanceof GraphQLError) return responseErrorOf([error]);
  if (isCloseEvent(error) && FATAL_CLOSE_CODES.includes(error.code)) {
    const code = REFUSING_CLOSE_CODES.includes(error.code) ? 'UNAUTHORIZED' : 'INTERNAL';
    return new AsgardRequestError(code, `the platform closed the connection: ${error.code} ${error.reason}`);
  }
  return new ConnectionLostError(error);
}

function isCloseEvent(value: unknown): value is { code: number; reason: string } {
  return typeof value === 'object' && value !== null && 'code' in value && 'reason' in value;
}
