import type { FastifyPluginAsync } from 'fastify';
import type { Registry } from '../../platform/metrics.ts';
import { refuseOtherMethods } from './refuse.ts';

/** `/metrics`: this process's metrics in the text format of Prometheus. */
export function metricsRoutes(registry: Pick<Registry, 'metrics' | 'contentType'>): FastifyPluginAsync {
  return async (app) => {
    app.get('/metrics', async (_request, reply) => {
      return reply.header('content-type', registry.contentType).send(await registry.metrics());
    });
    refuseOtherMethods(app, '/metrics', ['GET']);
  };
}
