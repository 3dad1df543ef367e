import type { FastifyPluginAsync } from 'fastify';
import { ANY, OF_BODY, OF_MLFLOW, OF_PATH } from '../failures.ts';
import { nextLink } from '../list-cursor.ts';
import { listModels } from '../list-models.ts';
import { describePredictions, PREDICTION_HEADERS, presentMetadata } from '../prediction-reply.ts';
import { presentPrediction } from '../present.ts';
import { presentModel, presentModels, presentRegistration } from '../present-models.ts';
import type { RestServices } from '../services.ts';
import { inferenceRequest, registrationRequest } from '../wire.ts';
import { httpError, httpValidationError, prediction } from '../wire-answers.ts';
import { registeredModel, registeredModels, registration } from '../wire-model-answers.ts';
import { modelListQuery, modelPath } from '../wire-registry.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['models'];
const PAGE_HEADERS = {
  link: {
    type: 'string',
    description: 'Where the next page is: `<?limit=…&cursor=…>; rel="next"`. Absent from the last one.',
  },
} as const;

/** `/mlops/models`, `/mlops/registry` and `/mlops/inference`. */
export function modelRoutes(
  known: Pick<RestServices, 'models' | 'inference' | 'modelChecks' | 'servedModels' | 'onPredictionSerialized'>,
): FastifyPluginAsync {
  const { models, inference, onPredictionSerialized } = known;
  return async (server) => {
    const app = useZod(server);
    const { callerOf, describe } = describePredictions(server, onPredictionSerialized);
    app.post(
      '/mlops/registry',
      {
        schema: {
          tags: TAGS,
          operationId: 'registerModel',
          summary: 'Register the model that a run saved',
          description:
            'It becomes a new version of `model_name`: the newest model that MLflow’s `log_model` saved in the run, else the pickle at `model/model.pkl`. A request that repeats an earlier one in every field is answered with the version that it made.',
          body: registrationRequest,
          response: { ...ANY, ...OF_BODY, ...OF_MLFLOW, 201: registration, 404: httpError, 409: httpError },
        },
      },
      async ({ body }, reply) => {
        const version = await models.registerRun(body);
        return reply.code(201).send(presentRegistration(version, body.runId));
      },
    );
    app.get(
      '/mlops/models',
      {
        config: { answerHeaders: PAGE_HEADERS },
        schema: {
          tags: TAGS,
          operationId: 'listModels',
          summary: 'List registered models',
          description:
            'All of them that the query chooses, by name; with `limit` page by page. Reading on by `cursor` neither repeats nor skips one while others are added.',
          querystring: modelListQuery,
          response: { ...ANY, ...OF_MLFLOW, 200: registeredModels, 413: httpError, 422: httpValidationError },
        },
      },
      async ({ query, url }, reply) => {
        const page = await listModels(models, query);
        if (page.nextCursor !== null) reply.header('link', nextLink(url, page.nextCursor));
        return presentModels(page.models, known);
      },
    );
    app.get(
      '/mlops/models/:name',
      {
        schema: {
          tags: TAGS,
          operationId: 'getModel',
          summary: 'Get a registered model',
          params: modelPath,
          response: { ...ANY, ...OF_PATH, ...OF_MLFLOW, 200: registeredModel, 404: httpError },
        },
      },
      async ({ params }) => presentModel(await models.get(params.name), known),
    );
    app.post(
      '/mlops/inference',
      {
        config: { answerHeaders: PREDICTION_HEADERS },
        schema: {
          tags: TAGS,
          operationId: 'predict',
          summary: 'Predict with a registered model',
          description:
            'What answered, and how long it took, is in headers; of a request that failed, what is known of it.',
          body: inferenceRequest,
          response: { ...ANY, ...OF_BODY, ...OF_MLFLOW, 200: prediction, 404: httpError, 409: httpError },
        },
      },
      async ({ body }, reply) => {
        const predicted = await inference.predict(body, callerOf(reply));
        describe(reply, predicted);
        return {
          ...presentPrediction(predicted, new Date()),
          ...(body.includeMetadata && { metadata: presentMetadata(predicted) }),
        };
      },
    );
    refuseOtherMethods(app, '/mlops/registry', ['POST']);
    refuseOtherMethods(app, '/mlops/models', ['GET']);
    refuseOtherMethods(app, '/mlops/models/:name', ['GET', 'PATCH', 'DELETE']);
    refuseOtherMethods(app, '/mlops/inference', ['POST']);
  };
}
