import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import cookie from '@fastify/cookie';
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify';
import { Access } from '../auth/access.ts';
import { AsgardError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { installErrorReplies, refuseWhileClosing, replyUnreadable } from './error-replies.ts';
import { graphqlRoutes } from './graphql.ts';
import { GRAPHQL_PATH, type GraphqlServer } from './graphql-server.ts';
import { Guard, type GuardOptions } from './guard.ts';
import { HeldOpen } from './held-open.ts';
import { logRequests } from './request-log.ts';
import { sendSecurityHeaders } from './security-headers.ts';
import { signInRoutes } from './sign-in.ts';
import { serveWebSockets } from './websocket.ts';

/** The largest body that is parsed: a script of 1 MiB, escaped as JSON, with room. What streams has limits of its own. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** In characters, as percent-encoded; what is longer Node refuses with the request's head. */
const MAX_PATH_PARAMETER = 16_384;

/** Requests that are under way when the server closes have this long to end. */
const CLOSE_LIMIT_MS = 1_000;
/** Who sends a body that is too large gets so long to send the rest of it. */
const DRAIN_LIMIT_MS = 10_000;

/** Who may call; by default whoever reaches the port, except pages of other origins. */
export interface AccessOptions extends GuardOptions {
  /** Addresses or ranges of proxies whose `X-Forwarded-For`, `-Proto` and `-Host` count. */
  readonly trustedProxies: readonly string[];
}

export interface HttpServerOptions {
  readonly log: Logger;
  readonly access?: AccessOptions;
  /** Absent: a server without `/graphql`, such as the one that speaks MLflow's API alone. */
  readonly graphql?: GraphqlServer;
  /** Of a GraphQL request over HTTP; `MAX_BODY_BYTES` when absent. */
  readonly maxGraphqlBytes?: number;
  /** Each registers its routes, as plugins, on the instance that it is given. */
  readonly routes?: readonly ((app: FastifyInstance) => void | Promise<void>)[];
}

/**
 * An HTTP server, not yet listening. Every request has an id, logged with whatever it causes and answered in
 * `x-request-id`, and has to pass the guard (`guard.ts`) before any route sees it.
 * `close()` cuts streams and sockets, lets other requests end, and is done after about a second at most.
 */
export async function buildHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { log, graphql, maxGraphqlBytes = MAX_BODY_BYTES, routes = [] } = options;
  const access = options.access ?? {
    access: new Access(),
    allowedOrigins: [],
    requestsPerMinute: 0,
    trustedProxies: [],
  };
  // Fastify's own lines below a warning ("Server listening at …") are no events of ours.
  const loggerInstance: FastifyBaseLogger = log.child({}, { level: log.levelVal < 40 ? 'warn' : log.level });
  const app = fastify({
    loggerInstance,
    // `onResponse` below says the same in one event.
    logController: new LogController({ disableRequestLogging: true }),
    // Each of our lines bears its request's id: a logger made for each request would only say it again.
    childLoggerFactory: (logger) => logger,
    bodyLimit: MAX_BODY_BYTES,
    genReqId: () => randomUUID(),
    forceCloseConnections: 'idle',
    // `refuseWhileClosing` says it in words that clients read.
    return503OnClosing: false,
    trustProxy: access.trustedProxies.length > 0 && [...access.trustedProxies],
    frameworkErrors: replyUnreadable,
    routerOptions: { maxParamLength: MAX_PATH_PARAMETER },
  });
  logRequests(app, log);
  installErrorReplies(app);
  refuseWhileClosing(app);
  sendSecurityHeaders(app);
  await app.register(cookie);
  const guard = await Guard.install(app, access);
  limitClose(app);
  drainRefused(app);
  if (access.access.isKeyDemanded) await app.register(signInRoutes(guard, graphql === undefined ? '/' : GRAPHQL_PATH));
  const held = new HeldOpen();
  held.countStreams(app);
  if (graphql !== undefined) {
    const sockets = serveWebSockets(app, { graphql, guard, held, log, maxPayloadBytes: MAX_BODY_BYTES });
    await app.register(graphqlRoutes(graphql, { sockets, held, log, maxBodyBytes: maxGraphqlBytes }));
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
  await app.listen({ host, port }).catch((error: unknown) => {
    throw listenFailure(error, host, port, variable);
  });
  return portOf(app.server);
}

/** Why one cannot listen there, in words that say what to do; a failure that has none stays as it is. */
export function listenFailure(error: unknown, host: string, port: number, variable: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') {
    const message = `port ${port} on ${host} is in use: end what listens there, or set ${variable} to another port`;
    return new AsgardError('CONFLICT', message, { cause: error });
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EADDRNOTAVAIL') {
    const message = `cannot listen on ${host} (${code}): set HOST to an address of this machine`;
    return new AsgardError('UNAVAILABLE', message, { cause: error });
  }
  if (code === 'EACCES') {
    const message = `cannot listen on port ${port} of ${host} (${code}): set ${variable} to a port that this user may take`;
    return new AsgardError('UNAVAILABLE', message, { cause: error });
  }
  return error;
}

/** The URL under which programs on this machine reach what listens at a host, which may stand for all addresses. */
export function localUrl(host: string, port: number): string {
  if (host === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

/**
 * A body that is refused for its size is read to its end all the same, and dropped: a connection that is closed before that is
 * reset, and its client sees the reset rather than the answer.
 */
function drainRefused(app: FastifyInstance): void {
  app.addHook('onSend', async (_request, reply, payload) => {
    if (reply.statusCode === 413) reply.removeHeader('connection');
    return payload;
  });
  app.addHook('onResponse', async ({ raw }, reply) => {
    if (reply.statusCode !== 413 || raw.complete || raw.destroyed) return;
    const limit = setTimeout(() => raw.destroy(), DRAIN_LIMIT_MS);
    raw.once('close', () => clearTimeout(limit)).resume();
  });
}

function limitClose(app: FastifyInstance): void {
  let limit: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    limit = setTimeout(() => app.server.closeAllConnections(), CLOSE_LIMIT_MS);
  });
  app.addHook('onClose', async () => clearTimeout(limit));
}
