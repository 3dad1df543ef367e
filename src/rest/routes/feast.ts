import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { ANY, OF_BODY, OF_FEATURES, OF_PATH } from '../failures.ts';
import {
  presentAppliedView,
  presentDeleted,
  presentFeatureView,
  presentPlan,
  presentStoreStatus,
} from '../present-features.ts';
import type { RestServices } from '../services.ts';
import { httpError, httpValidationError } from '../wire-answers.ts';
import {
  appliedFeatureView,
  deletedFeature,
  featureStoreStatus,
  featureViewDetails,
  featureViewList,
  featureViewPlan,
} from '../wire-feature-answers.ts';
import { featureViewRequest, namedListQuery } from '../wire-features.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['feast'];
const path = z.object({
  name: z
    .string()
    .describe('The name of a feature view.')
    .meta({ examples: ['customer_features'] }),
});

/** `/feast/features` and `/feast/status`: feature views. */
export function feastRoutes(services: Pick<RestServices, 'featureViews' | 'featureRegistry'>): FastifyPluginAsync {
  const { featureViews, featureRegistry } = services;
  return async (server) => {
    const app = useZod(server);
    app.post(
      '/feast/features',
      {
        schema: {
          tags: TAGS,
          operationId: 'createFeatureView',
          summary: 'Create or change a feature view',
          description:
            'The table must have each column, of a type that fits. Asking for what is there already changes nothing. With `dry_run` the answer is 200 and says what would become of it.',
          body: featureViewRequest,
          response: {
            ...ANY,
            ...OF_BODY,
            ...OF_FEATURES,
            200: featureViewPlan,
            201: appliedFeatureView,
            409: httpError,
          },
        },
      },
      async ({ body: { isDryRun, input } }, reply) => {
        if (isDryRun) return reply.code(200).send(presentPlan(await featureViews.plan(input)));
        return reply.code(201).send(presentAppliedView(await featureViews.apply(input)));
      },
    );
    app.get(
      '/feast/features',
      {
        schema: {
          tags: TAGS,
          operationId: 'listFeatureViews',
          summary: 'List feature views',
          description: 'By name. The last name, given as `after`, reads on.',
          querystring: namedListQuery,
          response: { ...ANY, ...OF_FEATURES, 200: featureViewList, 422: httpValidationError },
        },
      },
      async ({ query }) => (await featureViews.list(query)).items.map(presentFeatureView),
    );
    app.get(
      '/feast/features/:name',
      {
        schema: {
          tags: TAGS,
          operationId: 'getFeatureView',
          summary: 'Get a feature view',
          params: path,
          response: { ...ANY, ...OF_PATH, ...OF_FEATURES, 200: featureViewDetails, 404: httpError },
        },
      },
      async ({ params }) => presentFeatureView(await featureViews.get(params.name)),
    );
    app.delete(
      '/feast/features/:name',
      {
        schema: {
          tags: TAGS,
          operationId: 'deleteFeatureView',
          summary: 'Delete a feature view',
          description: 'With its online values; the table stays. Refused while a feature service has features of it.',
          params: path,
          response: { ...ANY, ...OF_PATH, ...OF_FEATURES, 200: deletedFeature, 404: httpError, 409: httpError },
        },
      },
      async ({ params }) => presentDeleted('feature view', (await featureViews.delete(params.name)).name),
    );
    app.get(
      '/feast/status',
      {
        schema: {
          tags: TAGS,
          operationId: 'getFeatureStoreStatus',
          summary: 'What the feature store holds',
          response: { ...ANY, ...OF_FEATURES, 200: featureStoreStatus },
        },
      },
      async () => presentStoreStatus(await featureRegistry.summary()),
    );
    refuseOtherMethods(app, '/feast/features', ['GET', 'POST']);
    refuseOtherMethods(app, '/feast/features/:name', ['GET', 'DELETE']);
    refuseOtherMethods(app, '/feast/status', ['GET']);
  };
}
