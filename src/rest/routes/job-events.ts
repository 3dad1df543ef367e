import { Readable } from 'node:stream';
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { isTerminal } from '../../jobs/states.ts';
import { eventStreamText } from '../event-stream.ts';
import { ANY, OF_PATH } from '../failures.ts';
import type { RestServices } from '../services.ts';
import { httpError, httpValidationError } from '../wire-answers.ts';
import { eventStream, eventStreamHeaders, eventStreamQuery } from '../wire-events.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';
import { jobPath } from './training.ts';

const PATH = '/mlops/training/jobs/:job_id/events';

/** A job's events as server-sent events. A close of the server ends the streams, whose clients then connect again. */
export function jobEventRoutes({ jobs, events }: Pick<RestServices, 'jobs' | 'events'>): FastifyPluginAsync {
  return async (server) => {
    const closing = new AbortController();
    server.addHook('preClose', async () => closing.abort());
    const app = useZod(server);
    app.get(
      PATH,
      {
        config: { isStream: true },
        schema: {
          tags: ['training'],
          operationId: 'followTrainingJob',
          summary: 'Follow the events of a training job',
          description:
            'What has happened, then what happens, each event once and in the order of their numbers. The same numbers ' +
            'resume a GraphQL subscription.',
          params: jobPath,
          querystring: eventStreamQuery,
          headers: eventStreamHeaders,
          response: {
            ...ANY,
            ...OF_PATH,
            200: eventStream,
            204: z.null(),
            404: httpError,
            422: httpValidationError,
          },
        },
      },
      async ({ params: { job_id: id }, query, headers }, reply) => {
        const after = headers['last-event-id'] ?? query.after ?? 0;
        const { status } = await jobs.summary(id);
        if (isTerminal(status) && (await events.list(id, { after, limit: 1 })).length === 0)
          return reply.code(204).send(null);
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        const lists = events.follow(id, {
          after,
          types: query.types && [...query.types, 'end'],
          signal: AbortSignal.any([gone.signal, closing.signal]),
        });
        reply.headers({
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-cache, no-transform',
          // nginx would gather what is sent.
          'x-accel-buffering': 'no',
        });
        return reply.code(200).send(Readable.from(eventStreamText(lists)));
      },
    );
    refuseOtherMethods(app, PATH, ['GET']);
  };
}
