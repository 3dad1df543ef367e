import type { FastifyPluginAsync } from 'fastify';
import { presentReadiness } from '../present.ts';
import type { RestServices } from '../services.ts';
import { refuseOtherMethods } from './refuse.ts';

/** `/healthz`: the process answers. `/readyz`: every part of it does, else 503 naming those that do not. */
export function healthRoutes({ readiness }: Pick<RestServices, 'readiness'>): FastifyPluginAsync {
  return async (app) => {
    app.get('/healthz', async () => ({ status: 'ok' }));
    app.get('/readyz', async (_request, reply) => {
      const now = await readiness();
      return reply.code(now.ready ? 200 : 503).send(presentReadiness(now));
    });
    refuseOtherMethods(app, '/healthz', ['GET']);
    refuseOtherMethods(app, '/readyz', ['GET']);
  };
}
