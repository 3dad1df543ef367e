import type { FastifyInstance } from 'fastify';
import type { Logger } from '../platform/logger.ts';

/**
 * Logs every request as `http.request`, with the id that its answer bears in `x-request-id`: those that were refused or
 * failed for everybody to see, the others for who looks closely. Queries stay out, since they may hold anything.
 */
export function logRequests(app: FastifyInstance, log: Logger): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, url, id } = request;
    const { statusCode: status, elapsedTime } = reply;
    const path = url.split('?', 1)[0];
    const level = status >= 400 ? 'info' : 'debug';
    log[level]({ requestId: id, method, path, status, milliseconds: Math.round(elapsedTime) }, 'http.request');
  });
}
