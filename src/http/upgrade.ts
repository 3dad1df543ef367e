import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Logger } from '../platform/logger.ts';

/** What a request that asks for a WebSocket holds beside itself. */
export interface Upgrade {
  readonly socket: Duplex;
  readonly head: Buffer;
  /** Takes the socket from the response that a refusal would have been written to. */
  release(): void;
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** Whether a request asks for a WebSocket. */
export function isUpgrade(request: IncomingMessage): boolean {
  return upgrades.has(request);
}

/** What `routeUpgrades` kept of a request, or undefined for an ordinary one. */
export function upgradeOf(request: IncomingMessage): Upgrade | undefined {
  return upgrades.get(request);
}

/**
 * Sends requests for a WebSocket at `path` through the server's hooks and router like any other, so that nothing which
 * guards one kind can be forgotten for the other. The route's handler accepts them; an answer of a hook closes the
 * socket. Elsewhere none is served: 404.
 */
export function routeUpgrades(app: FastifyInstance, path: string, log: Logger): void {
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    try {
      socket.on('error', () => socket.destroy());
      if (request.method !== 'GET' || request.url?.split('?', 1)[0] !== path) return refuse(socket);
      if (!(socket instanceof Socket)) return void socket.destroy();
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(socket);
      upgrades.set(request, { socket, head, release: () => response.detachSocket(socket) });
      response.once('finish', () => socket.end(() => socket.destroy()));
      app.routing(request, response);
    } catch (error) {
      // No request of a stranger's may end the process.
      log.error({ err: error }, 'websocket.upgrade_failed');
      socket.destroy();
    }
  });
}

function refuse(socket: Duplex): void {
  const body = '{"detail":"no WebSocket is served here"}\n';
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 404 ${STATUS_CODES[404]}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
