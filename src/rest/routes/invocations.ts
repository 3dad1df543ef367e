import type { FastifyPluginAsync, FastifyReply } from 'fastify';
import type { VersionDescription } from '../../inference/version-description.ts';
import { othersTurn } from '../../platform/turn.ts';
import { describePredictions, PREDICTION_HEADERS } from '../prediction-reply.ts';
import { readScoringBodies, SCORING_TYPES } from '../scoring/body.ts';
import { toModelColumns, underField } from '../scoring/columns.ts';
import { readCsv } from '../scoring/csv.ts';
import { fieldOf, readTable } from '../scoring/table.ts';
import { CsvBody, pingAnswer, type ScoringBody, scoringAnswer, scoringBody, scoringError } from '../scoring/wire.ts';
import type { RestServices } from '../services.ts';
import { modelPath, referencePath } from '../wire-registry.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['models'];
const CONFIG = { face: 'scoring', mediaTypes: SCORING_TYPES } as const;
const INVOKE_CONFIG = { ...CONFIG, answerHeaders: PREDICTION_HEADERS };

const error = scoringError;
const OF_MODEL = {
  ...{ 400: error, 401: error, 403: error, 404: error, 409: error, 429: error },
  ...{ 500: error, 502: error, 503: error, 504: error },
} as const;
const INVOKE = {
  tags: TAGS,
  consumes: [...SCORING_TYPES],
  description: 'Takes and answers what `mlflow models serve` does, errors too.',
  body: scoringBody,
  response: { ...OF_MODEL, 200: scoringAnswer, 413: error, 415: error },
} as const;
const PING = { tags: TAGS, response: { ...OF_MODEL, 200: pingAnswer } } as const;

/** What a path names. */
interface Target {
  readonly name: string;
  readonly version?: string;
}

/** `…/invocations` and `…/ping` of models and versions, as MLflow's scoring server has them. */
export function invocationRoutes(
  { inference, onPredictionSerialized }: Pick<RestServices, 'inference' | 'onPredictionSerialized'>,
  maxBodyBytes: number,
): FastifyPluginAsync {
  return async (server) => {
    readScoringBodies(server, maxBodyBytes);
    const app = useZod(server);
    const { callerOf, describe } = describePredictions(server, onPredictionSerialized);

    const invoke = async ({ name, version }: Target, body: ScoringBody, reply: FastifyReply) => {
      const asked = {
        modelName: name,
        modelVersion: version,
        returnProbabilities: false,
        inputsFor: async (found: VersionDescription) => {
          const table = body instanceof CsvBody ? readCsv(body.text, found) : readTable(body);
          await othersTurn(table.columns.length * (table.columns[0]?.length ?? 0));
          return toModelColumns(table, found);
        },
      };
      const { prediction } = await inference
        .predictLate(asked, callerOf(reply))
        .catch((failure: unknown) => Promise.reject(underField(failure, fieldOf(body))));
      describe(reply, prediction);
      return { predictions: [...prediction.predictions] };
    };
    const ping = async ({ name, version }: Target) => {
      await inference.describe(name, version);
      // MLflow's is an empty line, which it calls JSON; its clients look at the status alone.
      return {};
    };

    app.post(
      '/mlops/models/:name/invocations',
      {
        config: INVOKE_CONFIG,
        schema: {
          ...INVOKE,
          operationId: 'invoke',
          summary: 'Predict with a model, as MLflow serves it',
          params: modelPath,
        },
      },
      async ({ params, body }, reply) => invoke(params, body, reply),
    );
    app.post(
      '/mlops/models/:name/versions/:version/invocations',
      {
        config: INVOKE_CONFIG,
        schema: {
          ...INVOKE,
          operationId: 'invokeVersion',
          summary: 'Predict with a version, as MLflow serves it',
          params: referencePath,
        },
      },
      async ({ params, body }, reply) => invoke(params, body, reply),
    );
    app.get(
      '/mlops/models/:name/ping',
      { config: CONFIG, schema: { ...PING, operationId: 'ping', summary: 'Whether a model works', params: modelPath } },
      async ({ params }) => ping(params),
    );
    app.get(
      '/mlops/models/:name/versions/:version/ping',
      {
        config: CONFIG,
        schema: { ...PING, operationId: 'pingVersion', summary: 'Whether a version works', params: referencePath },
      },
      async ({ params }) => ping(params),
    );
    for (const path of ['/mlops/models/:name', '/mlops/models/:name/versions/:version']) {
      refuseOtherMethods(app, `${path}/invocations`, ['POST'], CONFIG);
      refuseOtherMethods(app, `${path}/ping`, ['GET'], CONFIG);
    }
  };
}
