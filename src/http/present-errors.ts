import { type ExecutionResult, GraphQLError } from 'graphql';
import { handleStreamOrSingleExecutionResult, type Plugin } from 'graphql-yoga';
import type { Context } from '../../schema/context.ts';
import type { SentCode } from '../../schema/error-code.ts';
import { presentError } from '../../schema/errors.ts';
import type { OperationTimings } from '../inference/operation-timings.ts';
import type { Logger } from '../platform/logger.ts';

/** What an operation's transport knows of it. */
export interface Transport {
  readonly requestId: string;
  /** Aborts when whoever asks has gone, or wants no answer any more. */
  readonly signal: AbortSignal;
  /** Where its time goes. */
  readonly timings: OperationTimings;
}

/**
 * Makes the errors of every operation ones that may be shown: expected ones with their code, all others logged once, as
 * `graphql.fault`, and masked, both with the id of the request.
 */
export function presentErrors(log: Logger): Plugin<Context, Transport> {
  const present = (error: unknown, { requestId, signal }: Context): GraphQLError =>
    presentError(error) ?? maskFault(error, log, requestId, signal?.aborted === true);
  const presentAll = (
    { result, setResult }: { result: ExecutionResult; setResult: (result: ExecutionResult) => void },
    context: Context,
  ) => {
    if (result.errors !== undefined) {
      const errors = result.errors.map((error) => present(error, context));
      setResult({ ...result, errors: withRequestId(errors, context.requestId) });
      logRefused(errors, context.requestId, log);
    }
  };
  return {
    // What was refused before it ran, over HTTP; `websocket.ts` does the same.
    onResultProcess: ({ result, setResult, serverContext }) => {
      if (Array.isArray(result) || !('errors' in result) || result.errors === undefined) return;
      const { requestId } = serverContext;
      const isNamed = result.errors.every(({ extensions }) => extensions?.['requestId'] !== undefined);
      if (isNamed) return;
      setResult({ ...result, errors: withRequestId(result.errors, requestId) });
      logRefused(result.errors, requestId, log);
    },
    onExecute: ({ args: { contextValue } }) => ({
      onExecuteDone: (payload) =>
        handleStreamOrSingleExecutionResult(payload, (single) => presentAll(single, contextValue)),
    }),
    onSubscribe: ({ args: { contextValue } }) => ({
      onSubscribeResult: (payload) =>
        handleStreamOrSingleExecutionResult(payload, (single) => presentAll(single, contextValue)),
      onSubscribeError: ({ error, setError }) => setError(present(error, contextValue)),
    }),
  };
}

/** The same errors, each with the id that the log has it under. */
export function withRequestId(errors: readonly GraphQLError[], requestId: string): GraphQLError[] {
  return errors.map((error) => {
    const { message, nodes, path, extensions } = error;
    const place = { nodes: nodes ?? null, path: path ?? null };
    return new GraphQLError(message, { ...place, originalError: error, extensions: { ...extensions, requestId } });
  });
}

/** One line for the errors of an answer which are the caller's; by code, since their messages may show what was sent. */
function logRefused(errors: readonly GraphQLError[], requestId: string, log: Logger): void {
  const codes = errors.map(({ extensions }) => extensions?.['code'] ?? null).filter((code) => code !== 'INTERNAL');
  if (codes.length > 0) log.info({ requestId, codes }, 'graphql.refused');
}

/** The error that stands for a fault of ours. What a caller that has gone away would have seen is no fault. */
export function maskFault(error: unknown, log: Logger, requestId?: string, isCallerGone = false): GraphQLError {
  const original = error instanceof GraphQLError && error.originalError != null ? error.originalError : error;
  const path = error instanceof GraphQLError ? (error.path ?? null) : null;
  if (isCallerGone) log.debug({ err: original, path, requestId }, 'graphql.caller_gone');
  else log.error({ err: original, path, requestId }, 'graphql.fault');
  const name = requestId === undefined ? '' : `: the log has it under request ${requestId}`;
  return new GraphQLError(`Unexpected error${name}`, {
    path,
    extensions: {
      code: 'INTERNAL' satisfies SentCode,
      isRetryable: false,
      ...(requestId === undefined ? {} : { requestId }),
    },
  });
}
