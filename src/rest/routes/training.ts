import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { idempotencyKey } from '../../jobs/submission.ts';
import { ANY, OF_BODY, OF_PATH } from '../failures.ts';
import { presentJob, presentJobWithLog } from '../present.ts';
import type { RestServices } from '../services.ts';
import { httpError, httpValidationError, trainingJob, trainingJobPage, trainingJobWithLog } from '../wire-answers.ts';
import { cursorBehind, jobListQuery } from '../wire-job-list.ts';
import { uploadRequest } from '../wire-upload.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['training'];
export const jobPath = z.object({
  job_id: z
    .string()
    .describe('As the upload answered it.')
    .meta({ examples: ['1e5dbcd1b3d68a33'] }),
});
export const uploadHeaders = z.looseObject({
  'idempotency-key': idempotencyKey
    .optional()
    .describe('Says the same as `idempotency_key` in the body, and counts when both are there.'),
});
/** Where a client may go from a job. */
const LINKS = {
  job: { operationId: 'getTrainingJob', parameters: { job_id: '$response.body#/job_id' } },
  cancel: { operationId: 'cancelTrainingJob', parameters: { job_id: '$response.body#/job_id' } },
};

/** `/mlops/training`: upload a script, look at jobs, cancel one. */
export function trainingRoutes({ jobs }: Pick<RestServices, 'jobs'>): FastifyPluginAsync {
  return async (server) => {
    const app = useZod(server);
    app.post(
      '/mlops/training/upload',
      {
        schema: {
          tags: TAGS,
          operationId: 'uploadTrainingScript',
          summary: 'Upload a training script',
          description: 'Answers at once with the job, queued; ask for the job until it is `completed` or `failed`.',
          headers: uploadHeaders,
          body: uploadRequest,
          response: { ...ANY, ...OF_BODY, 202: trainingJob },
        },
        links: { 202: LINKS },
      },
      async ({ body, headers }, reply) => {
        const job = await jobs.submit({ ...body, idempotencyKey: headers['idempotency-key'] ?? body.idempotencyKey });
        return reply.code(202).send(presentJob(job));
      },
    );
    app.get(
      '/mlops/training/jobs',
      {
        schema: {
          tags: TAGS,
          operationId: 'listTrainingJobs',
          summary: 'List training jobs',
          description:
            'The newest first. Reading on by `cursor` neither repeats nor skips a job while others are added.',
          querystring: jobListQuery,
          response: { ...ANY, 200: trainingJobPage, 422: httpValidationError },
        },
      },
      async ({ query }) => {
        const page = await jobs.list(query);
        const last = page.jobs.at(-1);
        const nextCursor = page.hasMore && last !== undefined ? cursorBehind(last) : null;
        return { jobs: page.jobs.map(presentJob), next_cursor: nextCursor };
      },
    );
    app.get(
      '/mlops/training/jobs/:job_id',
      {
        schema: {
          tags: TAGS,
          operationId: 'getTrainingJob',
          summary: 'Get a training job with its log',
          params: jobPath,
          response: { ...ANY, ...OF_PATH, 200: trainingJobWithLog, 404: httpError },
        },
      },
      async ({ params }) => {
        const { job, log, reads } = await jobs.withLog(params.job_id);
        return presentJobWithLog(job, log, reads, new Date());
      },
    );
    app.post(
      '/mlops/training/jobs/:job_id/cancel',
      {
        schema: {
          tags: TAGS,
          operationId: 'cancelTrainingJob',
          summary: 'Cancel a training job',
          description: 'A running job ends once its processes have; asking again changes nothing.',
          params: jobPath,
          response: { ...ANY, ...OF_BODY, 200: trainingJob, 404: httpError, 409: httpError },
        },
      },
      async ({ params }) => presentJob(await jobs.cancel(params.job_id)),
    );
    refuseOtherMethods(app, '/mlops/training/upload', ['POST']);
    refuseOtherMethods(app, '/mlops/training/jobs', ['GET']);
    refuseOtherMethods(app, '/mlops/training/jobs/:job_id', ['GET']);
    refuseOtherMethods(app, '/mlops/training/jobs/:job_id/cancel', ['POST']);
  };
}
