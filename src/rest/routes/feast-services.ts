import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { ANY, OF_BODY, OF_FEATURES, OF_PATH } from '../failures.ts';
import { presentAppliedService, presentDeleted, presentFeatureService } from '../present-features.ts';
import type { RestServices } from '../services.ts';
import { httpError, httpValidationError } from '../wire-answers.ts';
import {
  appliedFeatureService,
  deletedFeature,
  featureServiceDetails,
  featureServiceList,
} from '../wire-feature-answers.ts';
import { featureServiceRequest, namedListQuery } from '../wire-features.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['feast'];
const path = z.object({
  name: z
    .string()
    .describe('The name of a feature service.')
    .meta({ examples: ['churn_model'] }),
});

/** `/feast/features/service` and `/feast/features/services`: feature services. */
export function feastServiceRoutes({ featureServices }: Pick<RestServices, 'featureServices'>): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    app.post(
      '/feast/features/service',
      {
        schema: {
          tags: TAGS,
          operationId: 'createFeatureService',
          summary: 'Create or change a feature service',
          description: 'Every view and feature must be there. Asking for what is there already changes nothing.',
          body: featureServiceRequest,
          response: { ...ANY, ...OF_BODY, ...OF_FEATURES, 201: appliedFeatureService },
        },
      },
      async ({ body }, reply) => reply.code(201).send(presentAppliedService(await featureServices.apply(body))),
    );
    app.get(
      '/feast/features/services',
      {
        schema: {
          tags: TAGS,
          operationId: 'listFeatureServices',
          summary: 'List feature services',
          description: 'By name. The last name, given as `after`, reads on.',
          querystring: namedListQuery,
          response: { ...ANY, ...OF_FEATURES, 200: featureServiceList, 422: httpValidationError },
        },
      },
      async ({ query }) => (await featureServices.list(query)).items.map(presentFeatureService),
    );
    app.get(
      '/feast/features/services/:name',
      {
        schema: {
          tags: TAGS,
          operationId: 'getFeatureService',
          summary: 'Get a feature service',
          params: path,
          response: { ...ANY, ...OF_PATH, ...OF_FEATURES, 200: featureServiceDetails, 404: httpError },
        },
      },
      async ({ params }) => presentFeatureService(await featureServices.get(params.name)),
    );
    app.delete(
      '/feast/features/services/:name',
      {
        schema: {
          tags: TAGS,
          operationId: 'deleteFeatureService',
          summary: 'Delete a feature service',
          description: 'Its views stay.',
          params: path,
          response: { ...ANY, ...OF_PATH, ...OF_FEATURES, 200: deletedFeature, 404: httpError },
        },
      },
      async ({ params }) => presentDeleted('feature service', (await featureServices.delete(params.name)).name),
    );
    refuseOtherMethods(app, '/feast/features/service', ['POST']);
    refuseOtherMethods(app, '/feast/features/services', ['GET']);
    refuseOtherMethods(app, '/feast/features/services/:name', ['GET', 'DELETE']);
  };
}
