import { type ExecutionResult, GraphQLError } from 'graphql';
import { handleStreamOrSingleExecutionResult, type Plugin } from 'graphql-yoga';
import type { Context } from '../../schema/context.ts';
import { presentError } from '../../schema/errors.ts';
import type { Logger } from '../platform/logger.ts';

/**
 * Makes the errors of every operation ones that may be shown: expected ones with their code, all others logged once, as
 * `graphql.fault`, and masked, both with the id of the request.
 */
export function presentErrors(log: Logger): Plugin<Context> {
  const present = (error: unknown, { requestId, signal }: Context): GraphQLError =>
    presentError(error) ?? maskFault(error, log, requestId, signal?.aborted === true);
  const presentAll = (
    { result, setResult }: { result: ExecutionResult; setResult: (result: ExecutionResult) => void },
    context: Context,
  ) => {
    if (result.errors !== undefined) {
      setResult({ ...result, errors: result.errors.map((error) => present(error, context)) });
    }
  };
  return {
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

/** The error that stands for a fault of ours. What a caller that has gone away would have seen is no fault. */
export function maskFault(error: unknown, log: Logger, requestId?: string, isCallerGone = false): GraphQLError {
  const original = error instanceof GraphQLError && error.originalError != null ? error.originalError : error;
  const path = error instanceof GraphQLError ? (error.path ?? null) : null;
  if (isCallerGone) log.debug({ err: original, path, requestId }, 'graphql.caller_gone');
  else log.error({ err: original, path, requestId }, 'graphql.fault');
  const name = requestId === undefined ? '' : `: the log has it under request ${requestId}`;
  return new GraphQLError(`Unexpected error${name}`, {
    path,
    extensions: { code: 'INTERNAL', isRetryable: false, ...(requestId === undefined ? {} : { requestId }) },
  });
}
