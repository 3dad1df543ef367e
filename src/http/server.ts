import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify';
import { AsgardError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { type GraphqlServer, graphqlRoutes } from './graphql.ts';
import { refusalOf } from './origin.ts';
import { serveWebSockets } from './websocket.ts';

/** The largest body that is parsed: a script of 1 MiB, escaped as JSON, with room. What streams has limits of its own. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** In characters, as percent-encoded; what is longer Node refuses with the request's head. */
const MAX_PATH_PARAMETER = 16_384;

/** Requests that are under way when the server closes have this long to end. */
const CLOSE_LIMIT_MS = 1_000;

export interface HttpServerOptions {
  readonly log: Logger;
  /** Absent: a server without `/graphql`, such as the one that speaks MLflow's API alone. */
  readonly graphql?: GraphqlServer;
  /** Each registers its routes, as plugins, on the instance that it is given. */
  readonly routes?: readonly ((app: FastifyInstance) => void | Promise<void>)[];
}

/**
 * An HTTP server, not yet listening. Every request has an id, logged with whatever it causes and answered in
 * `x-request-id`; requests that a page of another site sent are refused (`origin.ts`), and no CORS header is sent.
 * `close()` cuts streams and sockets, lets other requests end, and is done after about a second at most.
 */
export async function buildHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { log, graphql, routes = [] } = options;
  // Fastify's own lines below a warning ("Server listening at …") are no events of ours.
  const loggerInstance: FastifyBaseLogger = log.child({}, { level: log.levelVal < 40 ? 'warn' : log.level });
  const app = fastify({
    loggerInstance,
    // `onResponse` below says the same in one event.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    genReqId: () => randomUUID(),
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: MAX_PATH_PARAMETER },
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    const refusal = refusalOf(request.method, request.headers);
    if (refusal !== undefined) return reply.code(403).send({ detail: refusal });
    return undefined;
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, url, id } = request;
    const path = url.split('?', 1)[0];
    const milliseconds = Math.round(reply.elapsedTime);
    log.debug({ requestId: id, method, path, status: reply.statusCode, milliseconds }, 'http.request');
  });
  limitClose(app);
  if (graphql !== undefined) {
    serveWebSockets(app, { graphql, log, maxPayloadBytes: MAX_BODY_BYTES });
    await app.register(graphqlRoutes(graphql, log));
  }
  for (const register of routes) await register(app);
  return app;
}

/**
 * Begins to listen.
 * @param port 0 takes a free one
 * @param variable the setting that gives the port, for the message when it is in use
 * @returns the port that it listens on
 * @throws AsgardError CONFLICT when the port is in use, UNAVAILABLE when it may not be taken
 */
export async function listen(app: FastifyInstance, host: string, port: number, variable = 'PORT'): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EADDRINUSE') {
      const message = `port ${port} on ${host} is in use: end what listens there, or set ${variable} to another port`;
      throw new AsgardError('CONFLICT', message, { cause: error });
    }
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL') {
      const message = `cannot listen on port ${port} of ${host} (${code}): set ${variable} to a port that this user may take`;
      throw new AsgardError('UNAVAILABLE', message, { cause: error });
    }
    throw error;
  }
  return portOf(app.server);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

function limitClose(app: FastifyInstance): void {
  let limit: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    limit = setTimeout(() => app.server.closeAllConnections(), CLOSE_LIMIT_MS);
  });
  app.addHook('onClose', async () => clearTimeout(limit));
}
