import type { FastifyPluginAsync } from 'fastify';
import { OPEN_TO_ALL } from '../failures.ts';
import { presentReadiness } from '../present.ts';
import type { RestServices } from '../services.ts';
import { health, readiness as readinessAnswer } from '../wire-answers.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const OPEN = { tags: ['platform'], security: [] } as const;

/** `/healthz`: the process answers. `/readyz`: every part of it does, else 503 naming those that do not. */
export function healthRoutes({ readiness }: Pick<RestServices, 'readiness'>): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    app.get(
      '/healthz',
      {
        schema: {
          ...OPEN,
          operationId: 'health',
          summary: 'Whether the process answers',
          response: { ...OPEN_TO_ALL, 200: health },
        },
      },
      async () => ({ status: 'ok' }) as const,
    );
    app.get(
      '/readyz',
      {
        schema: {
          ...OPEN,
          operationId: 'readiness',
          summary: 'Whether every part of the platform answers',
          response: { ...OPEN_TO_ALL, 200: readinessAnswer, 503: readinessAnswer },
        },
      },
      async (_request, reply) => {
        const now = await readiness();
        return reply.code(now.ready ? 200 : 503).send(presentReadiness(now));
      },
    );
    refuseOtherMethods(app, '/healthz', ['GET']);
    refuseOtherMethods(app, '/readyz', ['GET']);
  };
}
