import type { FastifyPluginAsync } from 'fastify';
import { installErrorReplies } from './errors.ts';
import { readJsonBodies } from './json-body.ts';
import { feastRoutes } from './routes/feast.ts';
import { healthRoutes } from './routes/health.ts';
import { mlopsRoutes } from './routes/mlops.ts';
import type { RestServices } from './services.ts';

/**
 * The REST API as a Fastify plugin, to be registered without a prefix on the root instance: `app.register(restRoutes(services))`.
 * Its error replies and body parsing stay within it, but its 404 answers for every path of the server that nobody has.
 */
export function restRoutes(services: RestServices): FastifyPluginAsync {
  return async (app) => {
    readJsonBodies(app);
    installErrorReplies(app);
    await app.register(mlopsRoutes(services));
    await app.register(feastRoutes());
    await app.register(healthRoutes(services));
  };
}
