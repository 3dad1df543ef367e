import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { GRAPHQL_PATH } from './graphql-server.ts';
import { isPageRequest, type Place, sendStartPage } from './pages.ts';

/**
 * `/`: for a browser a page that leads to all there is to see, for other clients the same as JSON.
 * @param mlflowPort where MLflow's UI is, on whatever name the caller calls this machine by
 */
export function startPage(mlflowPort: number): FastifyPluginAsync {
  return async (app) => {
    app.get('/', { schema: { hide: true } }, async (request, reply) => {
      const places = placesFor(request, mlflowPort);
      if (isPageRequest(request)) return sendStartPage(reply, places);
      return { name: 'asgard', places };
    });
  };
}

function placesFor({ host }: FastifyRequest, mlflowPort: number): Place[] {
  const name = URL.parse(`http://${host}`)?.hostname ?? '127.0.0.1';
  return [
    { name: 'GraphQL', address: GRAPHQL_PATH, what: 'jobs, their logs as they are printed, models, features' },
    { name: 'REST', address: '/docs', what: 'every endpoint, to try here' },
    { name: 'MLflow', address: `http://${name}:${mlflowPort}`, what: 'experiments, runs and their metrics' },
    { name: 'Status', address: '/mlops/status', what: 'how the platform is' },
    { name: 'Readiness', address: '/readyz', what: 'what is not ready yet' },
    { name: 'Metrics', address: '/metrics', what: 'for Prometheus' },
  ];
}
