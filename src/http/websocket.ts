import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer as serveGraphqlWs } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import { forbidden, type Refusal, rateLimited } from '../auth/refusal.ts';
import { OperationTimings } from '../inference/operation-timings.ts';
import type { Logger } from '../platform/logger.ts';
import { replyRefused } from './error-replies.ts';
import { GRAPHQL_PATH, type GraphqlServer } from './graphql-server.ts';
import type { Guard } from './guard.ts';
import { type HeldOpen, tooManyHeld } from './held-open.ts';
import { leavableResult } from './leavable-result.ts';
import { maskFault, withRequestId } from './present-errors.ts';
import { routeUpgrades, upgradeOf } from './upgrade.ts';

/** A socket that does not answer a ping for this long is gone. */
const KEEP_ALIVE_MS = 12_000;
/** A client that does not answer the closing handshake for this long is cut. */
const CLOSE_LIMIT_MS = 500;
/** A socket that has not said `connection_init` for this long is closed with 4408. */
const INIT_LIMIT_MS = 5_000;
/** Operations that may run on one socket at once. */
const MAX_OPERATIONS = 200;

/** Takes the sockets that the route of `/graphql` hands over. */
export interface WebSockets {
  /** Makes a request for which `upgradeOf` gives something a WebSocket, or answers why not. */
  accept(request: FastifyRequest, reply: FastifyReply): FastifyReply;
}

/**
 * Serves GraphQL over WebSockets (protocol `graphql-transport-ws`) at `/graphql` of `app`'s server. A socket whose
 * request did not show who calls must do so in `connection_init`. The server's close sends every client 1001, "going
 * away", which tells it to connect again and go on from where it is.
 * @param maxPayloadBytes of one message from a client
 */
export function serveWebSockets(
  app: FastifyInstance,
  options: { graphql: GraphqlServer; guard: Guard; held: HeldOpen; log: Logger; maxPayloadBytes: number },
): WebSockets {
  const { graphql, guard, held, log, maxPayloadBytes } = options;
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxPayloadBytes });
  const requests = new WeakMap<IncomingMessage, FastifyRequest>();
  const server = serveGraphqlWs(
    {
      connectionInitWaitTimeout: INIT_LIMIT_MS,
      onConnect: ({ connectionParams, extra }) => {
        const request = requests.get(extra.request);
        const refusal =
          request === undefined ? forbidden('unknown socket') : initRefusal(guard, request, connectionParams);
        if (refusal === undefined) return true;
        log.info({ requestId: request?.id, code: refusal.code }, 'websocket.refused');
        extra.socket.close(CloseCode.Forbidden, refusal.message);
        return false;
      },
      onSubscribe: async ({ extra, subscriptions }, _id, payload) => {
        const requestId = randomUUID();
        const timings = new OperationTimings(performance.now());
        const refuse = (errors: readonly GraphQLError[]) => {
          const codes = errors.map(({ extensions }) => extensions['code'] ?? null);
          log.info({ requestId, codes }, 'graphql.refused');
          return withRequestId(errors.map(withoutStatus), requestId);
        };
        try {
          const isTooMany = Object.keys(subscriptions).length > MAX_OPERATIONS;
          const request = requests.get(extra.request);
          const refusal = isTooMany
            ? rateLimited(`more than ${MAX_OPERATIONS} operations run on this socket`, 1)
            : request && (await guard.limits.refusalOf(request));
          if (refusal !== undefined) return refuse([errorOf(refusal)]);
          if (hasLostDigits(payload.variables)) return refuse([lostDigits()]);
          const departure = new AbortController();
          const envelope = graphql.getEnveloped({ requestId, signal: departure.signal, timings, params: payload });
          const args: ExecutionArgs = {
            schema: envelope.schema,
            document: envelope.parse(payload.query),
            operationName: payload.operationName ?? null,
            variableValues: payload.variables ?? null,
          };
          const errors = envelope.validate(args.schema, args.document);
          if (errors.length > 0) return refuse(errors);
          // Every operation has an envelope of its own; this is how it reaches `execute` and `subscribe` below.
          const { subscribe } = envelope;
          const run = async (prepared: ExecutionArgs) => envelope.execute(prepared);
          const masked = (error: unknown) => ({ errors: [maskFault(error, log, requestId)] });
          const execute = (prepared: ExecutionArgs) => leavableResult(run(prepared).catch(masked), departure);
          return { ...args, contextValue: await envelope.contextFactory(), rootValue: { execute, subscribe } };
        } catch (error) {
          return error instanceof GraphQLError ? refuse([error]) : [maskFault(error, log, requestId)];
        }
      },
      execute: (args) => runOf(args).execute(args),
      subscribe: (args) => runOf(args).subscribe(args),
    },
    sockets,
    KEEP_ALIVE_MS,
  );
  routeUpgrades(app, GRAPHQL_PATH, log);
  app.addHook('preClose', async () => {
    const limit = setTimeout(() => {
      for (const socket of sockets.clients) socket.terminate();
    }, CLOSE_LIMIT_MS);
    await server.dispose();
    clearTimeout(limit);
  });
  return {
    accept: (request, reply) => {
      const upgrade = upgradeOf(request.raw);
      if (upgrade === undefined || upgrade.socket.destroyed) return reply.hijack();
      const release = held.take(request.ip);
      if (release === undefined) return replyRefused(request, reply, tooManyHeld(request));
      upgrade.socket.once('close', release);
      reply.hijack();
      upgrade.release();
      requests.set(request.raw, request);
      sockets.handleUpgrade(request.raw, upgrade.socket, upgrade.head, (opened) =>
        sockets.emit('connection', opened, request.raw),
      );
      return reply;
    },
  };
}

/** Why a socket may not be used, when neither its request nor its first message shows a caller who may. */
function initRefusal(
  guard: Guard,
  request: FastifyRequest,
  params: Readonly<Record<string, unknown>> | undefined,
): Refusal | undefined {
  const shown = guard.access.callerOfParams(params);
  const caller = shown.kind === 'anyone' ? (request.caller ?? shown) : shown;
  const refusal = guard.refusalOf(caller, request, 'graphql');
  if (refusal?.code !== 'UNAUTHORIZED') return refusal;
  return { ...refusal, message: `${refusal.message.split(':', 1)[0]}: give connectionParams { apiKey }` };
}

/** graphql-ws reads messages by JSON.parse, which rounds them; a reviver could tell, at a microsecond and more for each value. */
function hasLostDigits(variables: unknown): boolean {
  const pending: unknown[] = [variables];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value === 'number') {
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) return true;
    } else if (typeof value === 'object' && value !== null) {
      for (const item of Object.values(value)) pending.push(item);
    }
  }
  return false;
}

function lostDigits(): GraphQLError {
  const message = 'a whole number beyond 2^53 cannot be sent through a WebSocket: send the operation by POST';
  return new GraphQLError(message, { extensions: { code: 'INVALID_INPUT', isRetryable: false } });
}

function errorOf({ code, message }: Refusal): GraphQLError {
  return new GraphQLError(message, { extensions: { code, isRetryable: code === 'RATE_LIMITED' } });
}

/** Yoga notes in an error the HTTP status that it would answer with. */
function withoutStatus({ message, nodes, path, extensions }: GraphQLError): GraphQLError {
  const { http: _status, ...shown } = extensions;
  return new GraphQLError(message, { nodes: nodes ?? null, path: path ?? null, extensions: shown });
}

interface Run {
  readonly execute: (args: ExecutionArgs) => AsyncIterableIterator<ExecutionResult>;
  readonly subscribe: ReturnType<GraphqlServer['getEnveloped']>['subscribe'];
}

function runOf({ rootValue }: ExecutionArgs): Run {
  return rootValue as Run; // set in onSubscribe, the only maker of these arguments
}
