import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { ANY, OF_BODY, OF_PATH } from '../failures.ts';
import { presentOnlineFeatures } from '../present-online.ts';
import type { RestServices } from '../services.ts';
import { httpError } from '../wire-answers.ts';
import {
  materialization,
  materializationRequest,
  materializations as materializationsAnswer,
  presentMaterialization,
} from '../wire-materialization.ts';
import { onlineFeatures as onlineFeaturesAnswer, onlineFeaturesRequest } from '../wire-online.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['feast'];
const materializationPath = z.object({ materialization_id: z.string().meta({ examples: ['0123456789abcdef'] }) });

/** `/feast/online`, `/feast/materialize` and `/feast/materializations`. */
export function feastOnlineRoutes({
  onlineFeatures,
  materializations,
}: Pick<RestServices, 'onlineFeatures' | 'materializations'>): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    app.post(
      '/feast/online',
      {
        schema: {
          tags: TAGS,
          operationId: 'getOnlineFeatures',
          summary: 'The newest features of entities',
          description:
            'What materialization has brought into the online store: the answer of `feast serve` to `/get-online-features`, with the age of each value, and no value that is older than its view’s ttl.',
          body: onlineFeaturesRequest,
          response: { ...ANY, ...OF_BODY, 200: onlineFeaturesAnswer, 409: httpError, 504: httpError },
        },
      },
      async ({ body }) => presentOnlineFeatures(await onlineFeatures.read(body)),
    );
    app.post(
      '/feast/materialize',
      {
        schema: {
          tags: TAGS,
          operationId: 'materialize',
          summary: 'Bring online values up to their tables',
          description: 'Begins a run for each view, and answers at once. A view that is being materialized is joined.',
          body: materializationRequest,
          response: {
            ...ANY,
            ...OF_BODY,
            202: materializationsAnswer,
            404: httpError,
            409: httpError,
            504: httpError,
          },
        },
      },
      async ({ body }, reply) => {
        const rows = await materializations.start(body.feature_views ?? undefined, 'REQUEST');
        return reply.code(202).send({ materializations: rows.map(presentMaterialization) });
      },
    );
    app.get(
      '/feast/materializations/:materialization_id',
      {
        schema: {
          tags: TAGS,
          operationId: 'getMaterialization',
          summary: 'How a materialization goes',
          params: materializationPath,
          response: { ...ANY, ...OF_PATH, 200: materialization, 404: httpError },
        },
      },
      async ({ params }) => presentMaterialization(await materializations.get(params.materialization_id)),
    );
    refuseOtherMethods(app, '/feast/online', ['POST']);
    refuseOtherMethods(app, '/feast/materialize', ['POST']);
    refuseOtherMethods(app, '/feast/materializations/:materialization_id', ['GET']);
  };
}
