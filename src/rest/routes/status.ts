import type { FastifyPluginAsync } from 'fastify';
import { ANY } from '../failures.ts';
import { presentStatus } from '../present.ts';
import type { RestServices } from '../services.ts';
import { platformStatus } from '../wire-answers.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

/** `/mlops/status`, which answers also while MLflow does not. */
export function statusRoutes({
  status,
  servedModels,
}: Pick<RestServices, 'status' | 'servedModels'>): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    app.get(
      '/mlops/status',
      {
        schema: {
          tags: ['platform'],
          operationId: 'getStatus',
          summary: 'How the platform is',
          response: { ...ANY, 200: platformStatus },
        },
      },
      async () => presentStatus(await status(), servedModels.list(), new Date()),
    );
    refuseOtherMethods(app, '/mlops/status', ['GET']);
  };
}
