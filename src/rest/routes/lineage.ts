import type { FastifyPluginAsync } from 'fastify';
import { ANY, OF_MLFLOW, OF_PATH } from '../failures.ts';
import { presentComparison, presentLineage } from '../present-lineage.ts';
import type { RestServices } from '../services.ts';
import { httpError, httpValidationError } from '../wire-answers.ts';
import { comparisonQuery } from '../wire-comparison.ts';
import { comparison, versionLineage } from '../wire-lineage-answers.ts';
import { versionPath } from '../wire-registry.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['models'];

/** Where a version comes from, and `/mlops/compare`. */
export function lineageRoutes({
  lineage,
  comparisons,
  servedModels,
}: Pick<RestServices, 'lineage' | 'comparisons' | 'servedModels'>): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    app.get(
      '/mlops/models/:name/versions/:version',
      {
        schema: {
          tags: TAGS,
          operationId: 'getModelVersion',
          summary: 'Get a version, and where it comes from',
          description: 'Its run, its job with script and environment, and the features that it was trained with.',
          params: versionPath,
          response: { ...ANY, ...OF_PATH, ...OF_MLFLOW, 200: versionLineage, 404: httpError },
        },
      },
      async ({ params: { name, version } }) => {
        const found = await lineage.ofVersion(name, version);
        return presentLineage(found, servedModels.find(found.version));
      },
    );
    app.get(
      '/mlops/compare',
      {
        schema: {
          tags: TAGS,
          operationId: 'compare',
          summary: 'Compare jobs, or versions',
          description:
            'Scripts, environments, params and metrics of their runs, and what they read of the feature store: 2 to 10 jobs or 2 to 10 versions, the others with the first.',
          querystring: comparisonQuery,
          response: { ...ANY, ...OF_MLFLOW, 200: comparison, 404: httpError, 422: httpValidationError },
        },
      },
      async ({ query }) =>
        presentComparison(
          await ('jobs' in query ? comparisons.ofJobs(query.jobs) : comparisons.ofVersions(query.versions)),
        ),
    );
    refuseOtherMethods(app, '/mlops/compare', ['GET']);
  };
}
