import type { FastifyPluginAsync } from 'fastify';
import { AsgardError } from '../../platform/errors.ts';
import { listAllModels } from '../list-models.ts';
import { presentJob, presentJobWithLog, presentModel, presentPrediction, presentStatus } from '../present.ts';
import type { RestServices } from '../services.ts';
import { parseInference, parseUpload } from '../wire.ts';
import { refuseOtherMethods } from './refuse.ts';

interface JobPath {
  Params: { job_id: string };
}

/** The guide's `/mlops` paths: jobs, models, inference, status. */
export function mlopsRoutes({ jobs, models, inference, status }: RestServices): FastifyPluginAsync {
  return async (app) => {
    app.get('/mlops/status', async () => presentStatus(await status(), new Date()));

    app.post('/mlops/training/upload', async (request, reply) => {
      const job = await jobs.submit(parseUpload(request.body));
      return reply.code(202).send(presentJob(job));
    });

    app.get<JobPath>('/mlops/training/jobs/:job_id', async (request) => {
      // The log after the status: a job that shows as ended then shows its whole log.
      const job = await jobs.get(parseJobId(request.params.job_id));
      return presentJobWithLog(job, await jobs.logText(job.id), new Date());
    });

    app.post<JobPath>('/mlops/training/jobs/:job_id/cancel', async (request) => {
      return presentJob(await jobs.cancel(parseJobId(request.params.job_id)));
    });

    app.get('/mlops/models', async () => (await listAllModels(models)).map(presentModel));

    app.post('/mlops/inference', async (request) => {
      const prediction = await inference.predict(parseInference(request.body));
      return presentPrediction(prediction, new Date());
    });

    refuseOtherMethods(app, '/mlops/status', ['GET']);
    refuseOtherMethods(app, '/mlops/training/upload', ['POST']);
    refuseOtherMethods(app, '/mlops/training/jobs/:job_id', ['GET']);
    refuseOtherMethods(app, '/mlops/training/jobs/:job_id/cancel', ['POST']);
    refuseOtherMethods(app, '/mlops/models', ['GET']);
    refuseOtherMethods(app, '/mlops/inference', ['POST']);
  };
}

/** What cannot be a job's id is no job's: it need not reach the database, which refuses some characters. */
function parseJobId(text: string): string {
  if (!/^[\w-]{1,64}$/.test(text)) throw new AsgardError('NOT_FOUND', `there is no job ${JSON.stringify(text)}`);
  return text;
}
