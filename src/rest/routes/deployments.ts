import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { ANY, OF_BODY, OF_PATH } from '../failures.ts';
import { presentDeployment } from '../present-models.ts';
import type { RestServices } from '../services.ts';
import { httpError } from '../wire-answers.ts';
import { deployment } from '../wire-model-answers.ts';
import { deployRequest } from '../wire-upload.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';
import { uploadHeaders } from './training.ts';

const TAGS = ['models'];
const path = z.object({
  deployment_id: z
    .string()
    .describe('As the request to deploy answered it.')
    .meta({ examples: ['1e5dbcd1b3d68a33'] }),
});
/** Where a client may go from a deployment. */
const LINKS = {
  deployment: { operationId: 'getDeployment', parameters: { deployment_id: '$response.body#/deployment_id' } },
  job: { operationId: 'getTrainingJob', parameters: { job_id: '$response.body#/job_id' } },
};

/** `/mlops/deploy` and `/mlops/deployments`. */
export function deploymentRoutes({ deployments }: Pick<RestServices, 'deployments'>): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    app.post(
      '/mlops/deploy',
      {
        schema: {
          tags: TAGS,
          operationId: 'deployModel',
          summary: 'Train a model and serve it',
          description:
            'Answers at once. When the job has completed and its model was seen to work, `alias` names the version; otherwise the alias stays where it was. Ask for the deployment until it is `completed` or `failed`.',
          headers: uploadHeaders,
          body: deployRequest,
          response: { ...ANY, ...OF_BODY, 202: deployment, 409: httpError },
        },
        links: { 202: LINKS },
      },
      async ({ body: { submission, alias }, headers }, reply) => {
        const idempotencyKey = headers['idempotency-key'] ?? submission.idempotencyKey;
        const { jobId } = await deployments.deploy({ ...submission, idempotencyKey }, alias);
        return reply.code(202).send(presentDeployment(await deployments.get(jobId)));
      },
    );
    app.get(
      '/mlops/deployments/:deployment_id',
      {
        schema: {
          tags: TAGS,
          operationId: 'getDeployment',
          summary: 'Get a deployment',
          params: path,
          response: { ...ANY, ...OF_PATH, 200: deployment, 404: httpError },
        },
      },
      async ({ params }) => presentDeployment(await deployments.get(params.deployment_id)),
    );
    refuseOtherMethods(app, '/mlops/deploy', ['POST']);
    refuseOtherMethods(app, '/mlops/deployments/:deployment_id', ['GET']);
  };
}
