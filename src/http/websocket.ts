import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { type ExecutionArgs, GraphQLError } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import type { Logger } from '../platform/logger.ts';
import { GRAPHQL_PATH, type GraphqlServer } from './graphql.ts';
import { refusalOf } from './origin.ts';
import { maskFault } from './present-errors.ts';

/** A socket that does not answer a ping for this long is gone. */
const KEEP_ALIVE_MS = 12_000;
/** A client that does not answer the closing handshake for this long is cut. */
const CLOSE_LIMIT_MS = 500;

/**
 * Serves GraphQL over WebSockets (protocol `graphql-transport-ws`) at `/graphql` of `app`'s server. Its close sends
 * every client 1001, "going away", which tells it to connect again and go on from where it is.
 * @param maxPayloadBytes of one message from a client
 */
export function serveWebSockets(
  app: FastifyInstance,
  options: { graphql: GraphqlServer; log: Logger; maxPayloadBytes: number },
): void {
  const { graphql, log, maxPayloadBytes } = options;
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxPayloadBytes });
  const server = useServer(
    {
      onSubscribe: async (_socket, _id, payload) => {
        const requestId = randomUUID();
        try {
          const envelope = graphql.getEnveloped({ requestId, params: payload });
          const args: ExecutionArgs = {
            schema: envelope.schema,
            document: envelope.parse(payload.query),
            operationName: payload.operationName ?? null,
            variableValues: payload.variables ?? null,
          };
          const errors = envelope.validate(args.schema, args.document);
          if (errors.length > 0) return errors;
          // Every operation has an envelope of its own; this is how it reaches `execute` and `subscribe` below.
          const { execute, subscribe } = envelope;
          return { ...args, contextValue: await envelope.contextFactory(), rootValue: { execute, subscribe } };
        } catch (error) {
          return [error instanceof GraphQLError ? error : maskFault(error, log, requestId)];
        }
      },
      execute: (args) => runOf(args).execute(args),
      subscribe: (args) => runOf(args).subscribe(args),
    },
    sockets,
    KEEP_ALIVE_MS,
  );
  app.server.on('upgrade', (request, socket, head) => {
    try {
      const refusal = refusalOf('GET', request.headers, true);
      if (refusal !== undefined) return refuse(socket, 403, refusal);
      const path = request.url?.split('?', 1)[0];
      if (path !== GRAPHQL_PATH) return refuse(socket, 404, `no WebSocket is served at ${path}`);
      sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request));
    } catch (error) {
      // No request of a stranger's may end the process.
      log.error({ err: error }, 'websocket.upgrade_failed');
      socket.destroy();
    }
  });
  app.addHook('preClose', async () => {
    const limit = setTimeout(() => {
      for (const socket of sockets.clients) socket.terminate();
    }, CLOSE_LIMIT_MS);
    await server.dispose();
    clearTimeout(limit);
  });
}

type Envelope = ReturnType<GraphqlServer['getEnveloped']>;

function runOf({ rootValue }: ExecutionArgs): Pick<Envelope, 'execute' | 'subscribe'> {
  return rootValue as Pick<Envelope, 'execute' | 'subscribe'>; // set in onSubscribe, the only maker of these arguments
}

function refuse(socket: Duplex, status: number, reason: string): void {
  const body = `${JSON.stringify({ detail: reason })}\n`;
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
