import type { FastifyPluginAsync, FastifyReply } from 'fastify';
import type { VersionDescription } from '../../inference/version-description.ts';
import { AsgardError } from '../../platform/errors.ts';
import { othersTurn } from '../../platform/turn.ts';
import { sendFailure } from '../errors.ts';
import { presentDescription, presentInference } from '../open-inference/answer.ts';
import { appendTensors, BINARY_TYPE, readInferenceBodies } from '../open-inference/body.ts';
import { readTensors, toColumns } from '../open-inference/input-tensors.ts';
import { PROBABILITIES, toTensors } from '../open-inference/output-tensors.ts';
import {
  type InferRequest,
  inferAnswer,
  inferenceError,
  inferRequest,
  modelMetadata,
  modelReady,
  serverLive,
  serverMetadata,
  serverReady,
} from '../open-inference/wire.ts';
import { describePredictions, PREDICTION_HEADERS } from '../prediction-reply.ts';
import { servedVersions } from '../served-versions.ts';
import type { RestServices } from '../services.ts';
import { modelPath, referencePath } from '../wire-registry.ts';
import { useZod } from '../zod-routes.ts';
import { refuseOtherMethods } from './refuse.ts';

const TAGS = ['open inference'];
const TYPES = ['application/json', BINARY_TYPE];
const CONFIG = { face: 'open-inference', mediaTypes: TYPES } as const;
const INFER_CONFIG = { ...CONFIG, answerHeaders: PREDICTION_HEADERS, answerTypes: TYPES };
const SERVER = { name: 'asgard', version: '1.0.0', extensions: ['binary_tensor_data'] };

const error = inferenceError;
const OF_ANY = { 401: error, 403: error, 429: error, 500: error, 503: error } as const;
const OF_MODEL = { ...OF_ANY, 400: error, 404: error, 409: error, 502: error, 504: error } as const;
const INFER = {
  tags: TAGS,
  consumes: TYPES,
  body: inferRequest,
  response: { ...OF_MODEL, 200: inferAnswer, 413: error, 415: error },
} as const;
const METADATA = { tags: TAGS, response: { ...OF_MODEL, 200: modelMetadata } } as const;
const READY = { tags: TAGS, response: { ...OF_MODEL, 200: modelReady } } as const;
const READY_MEANS = 'It is there, and was found to work; it is loaded when it is first asked.';

/** What a path names. */
interface Target {
  readonly name: string;
  readonly version?: string;
}

/** `/v2`: the Open Inference Protocol over REST, with its extension for binary tensor data. */
export function openInferenceRoutes(
  services: Pick<RestServices, 'inference' | 'models' | 'modelChecks' | 'readiness' | 'onPredictionSerialized'>,
  maxBodyBytes: number,
): FastifyPluginAsync {
  const { inference } = services;
  return async (server) => {
    readInferenceBodies(server, maxBodyBytes);
    const app = useZod(server);
    const { callerOf, describe } = describePredictions(server, services.onPredictionSerialized);
    const append = appendTensors(server);

    const metadata = async ({ name, version }: Target) => {
      const description = await inference.describe(name, version);
      return presentDescription(description, await servedVersions(services, description.name));
    };
    const ready = async ({ name, version }: Target) => {
      await inference.describe(name, version);
      return { name, ready: true } as const;
    };
    const infer = async ({ name, version }: Target, body: InferRequest, bytes: Buffer | null, reply: FastifyReply) => {
      const wanted = body.outputs?.map((output) => output.name) ?? null;
      const tensors = readTensors(body.inputs, bytes);
      await othersTurn(tensors.reduce((sum, { elements }) => sum + elements.length, 0));
      const asked = {
        modelName: name,
        modelVersion: version,
        returnProbabilities: body.parameters?.return_probabilities ?? wanted?.includes(PROBABILITIES) ?? false,
        inputsFor: (found: VersionDescription) => toColumns(tensors, found),
      };
      const { prediction, description } = await inference.predictLate(asked, callerOf(reply));
      describe(reply, prediction);
      const { answer, bytes: written } = presentInference(
        prediction,
        toTensors(prediction, description.signature, wanted),
        body,
      );
      if (written.length > 0) append(reply, written);
      return answer;
    };

    app.get(
      '/v2',
      {
        config: CONFIG,
        schema: {
          tags: TAGS,
          operationId: 'inferenceServer',
          summary: 'What answers by the Open Inference Protocol',
          response: { ...OF_ANY, 200: serverMetadata },
        },
      },
      async () => SERVER,
    );
    app.get(
      '/v2/health/live',
      {
        config: CONFIG,
        schema: {
          tags: TAGS,
          operationId: 'inferenceLive',
          summary: 'Whether the server answers',
          response: { ...OF_ANY, 200: serverLive },
        },
      },
      async () => ({ live: true }) as const,
    );
    app.get(
      '/v2/health/ready',
      {
        config: CONFIG,
        schema: {
          tags: TAGS,
          operationId: 'inferenceReady',
          summary: 'Whether every part of the platform answers',
          response: { ...OF_ANY, 200: serverReady },
        },
      },
      async () => {
        const { ready: isReady, notReady } = await services.readiness();
        if (!isReady) throw new AsgardError('UNAVAILABLE', notReady.join('; '));
        return { ready: true } as const;
      },
    );
    app.get(
      '/v2/models/:name',
      {
        config: CONFIG,
        schema: {
          ...METADATA,
          operationId: 'inferenceModel',
          summary: 'What a model takes and gives',
          params: modelPath,
        },
      },
      async ({ params }) => metadata(params),
    );
    app.get(
      '/v2/models/:name/versions/:version',
      {
        config: CONFIG,
        schema: {
          ...METADATA,
          operationId: 'inferenceModelVersion',
          summary: 'What a version takes and gives',
          params: referencePath,
        },
      },
      async ({ params }) => metadata(params),
    );
    app.get(
      '/v2/models/:name/ready',
      {
        config: CONFIG,
        schema: {
          ...READY,
          operationId: 'inferenceModelReady',
          summary: 'Whether a model works',
          description: READY_MEANS,
          params: modelPath,
        },
      },
      async ({ params }) => ready(params),
    );
    app.get(
      '/v2/models/:name/versions/:version/ready',
      {
        config: CONFIG,
        schema: {
          ...READY,
          operationId: 'inferenceModelVersionReady',
          summary: 'Whether a version works',
          description: READY_MEANS,
          params: referencePath,
        },
      },
      async ({ params }) => ready(params),
    );
    app.post(
      '/v2/models/:name/infer',
      {
        config: INFER_CONFIG,
        schema: { ...INFER, operationId: 'infer', summary: 'Predict with a model, by tensors', params: modelPath },
      },
      async ({ params, body, tensorBytes }, reply) => infer(params, body, tensorBytes, reply),
    );
    app.post(
      '/v2/models/:name/versions/:version/infer',
      {
        config: INFER_CONFIG,
        schema: {
          ...INFER,
          operationId: 'inferVersion',
          summary: 'Predict with a version, by tensors',
          params: referencePath,
        },
      },
      async ({ params, body, tensorBytes }, reply) => infer(params, body, tensorBytes, reply),
    );

    refuseOtherMethods(app, '/v2', ['GET'], CONFIG);
    for (const path of ['/v2/health/live', '/v2/health/ready']) refuseOtherMethods(app, path, ['GET'], CONFIG);
    for (const path of ['/v2/models/:name', '/v2/models/:name/versions/:version']) {
      for (const below of ['', '/ready']) refuseOtherMethods(app, path + below, ['GET'], CONFIG);
      refuseOtherMethods(app, `${path}/infer`, ['POST'], CONFIG);
    }
    // What the protocol's other extensions have there is not found in its own words.
    app.all('/v2/*', {
      config: CONFIG,
      onRequest: async (_request, reply) => sendFailure(reply, 404, 'Not Found'),
      handler: () => undefined,
    });
  };
}
