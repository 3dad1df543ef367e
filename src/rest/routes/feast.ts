import type { FastifyPluginAsync } from 'fastify';
import { refuseAsNotImplemented, refuseOtherMethods } from './refuse.ts';

/** The feature store's paths, which answer 501 until there is one. */
export function feastRoutes(): FastifyPluginAsync {
  return async (app) => {
    refuseAsNotImplemented(app, '/feast/features', 'POST', 'creating a feature view');
    refuseAsNotImplemented(app, '/feast/features', 'GET', 'listing feature views');
    refuseAsNotImplemented(app, '/feast/features/service', 'POST', 'creating a feature service');
    refuseAsNotImplemented(app, '/feast/status', 'GET', 'the feature store');
    refuseOtherMethods(app, '/feast/features', ['GET', 'POST']);
    refuseOtherMethods(app, '/feast/features/service', ['POST']);
    refuseOtherMethods(app, '/feast/status', ['GET']);
  };
}
