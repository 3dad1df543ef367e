import type { FastifyPluginAsync } from 'fastify';
import { AsgardError } from '../../platform/errors.ts';
import { ANY } from '../failures.ts';
import { httpError } from '../wire-answers.ts';
import { useZod, type ZodInstance } from '../zod-routes.ts';
import { answeredBefore, refuseOtherMethods } from './refuse.ts';

/** The feature store's paths, which answer 501 until there is one. */
export function feastRoutes(): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    refuseAsNotImplemented(app, '/feast/features', 'POST', 'createFeatureView', 'Create a feature view');
    refuseAsNotImplemented(app, '/feast/features', 'GET', 'listFeatureViews', 'List feature views');
    refuseAsNotImplemented(app, '/feast/features/service', 'POST', 'createFeatureService', 'Create a feature service');
    refuseAsNotImplemented(app, '/feast/status', 'GET', 'getFeatureStoreStatus', 'How the feature store is');
    refuseOtherMethods(app, '/feast/features', ['GET', 'POST']);
    refuseOtherMethods(app, '/feast/features/service', ['POST']);
    refuseOtherMethods(app, '/feast/status', ['GET']);
  };
}

/** Answers 501 whatever the body is. */
function refuseAsNotImplemented(
  app: ZodInstance,
  url: string,
  method: 'GET' | 'POST',
  operationId: string,
  summary: string,
): void {
  app.route({
    method,
    url,
    schema: {
      tags: ['feast'],
      operationId,
      summary,
      response: { ...ANY, 501: httpError },
    },
    onRequest: async () => {
      throw new AsgardError('NOT_IMPLEMENTED', `${summary}: not implemented yet`);
    },
    handler: answeredBefore,
  });
}
