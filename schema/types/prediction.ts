import type { PredictionTimings } from '../../src/inference/prediction-observer.ts';
import { type PredictionRequest, predictionRequest } from '../../src/inference/prediction-request.ts';
import type { Prediction } from '../../src/inference/service.ts';
import { modelVersionKey } from '../../src/models/version-key.ts';
import { builder } from '../builder.ts';
import { failures, parseInput, withFailures } from '../errors.ts';
import { Environment } from './environment.ts';
import { TrainingJob } from './job.ts';
import { ModelVersion } from './model-version.ts';
import { PredictionFeaturesType } from './prediction-features.ts';
import { Run } from './run.ts';
import { ServingEngineType } from './serving-engine.ts';

const Origin = builder.objectRef<Prediction>('PredictionOrigin').implement({
  description: 'The version that answered, and what made it. What is null is not known, is gone, or never was.',
  fields: (t) => ({
    runId: t.id({
      nullable: true,
      description: 'MLflow’s id of the run that logged it.',
      resolve: ({ origin }) => origin.runId,
    }),
    jobId: t.id({
      nullable: true,
      description: 'The id of the job that it came out of.',
      resolve: ({ origin }) => origin.jobId,
    }),
    environmentHash: t.string({
      nullable: true,
      description: 'The hash of the environment that its job ran in.',
      resolve: ({ origin }) => origin.environmentHash,
    }),
    modelVersion: t.field({
      type: ModelVersion,
      nullable: true,
      description: 'The version that answered.',
      resolve: ({ modelName, modelVersion }) => modelVersionKey(modelName, modelVersion),
    }),
    run: t.field({
      type: Run,
      nullable: true,
      description: 'The run that logged it.',
      resolve: ({ origin }) => origin.runId,
    }),
    job: t.field({
      type: TrainingJob,
      nullable: true,
      description: 'The job that it came out of.',
      resolve: ({ origin: { jobId } }) => (jobId === null ? null : { id: jobId }),
    }),
    environment: t.field({
      type: Environment,
      nullable: true,
      description: 'The Python environment that its job ran in.',
      resolve: ({ origin: { environmentHash: hash } }) => (hash === null ? null : { hash }),
    }),
  }),
});

const Timings = builder.objectRef<PredictionTimings>('PredictionTimings').implement({
  description: 'Where the time of an answer went, in milliseconds.',
  fields: (t) => ({
    parseMs: t.float({ description: 'Reading and checking the request.', resolve: ({ parse }) => parse }),
    queueMs: t.float({
      description: 'Until the model took it in hand: the look-up of the version, a load, and the requests before it.',
      resolve: ({ queue }) => queue,
    }),
    featuresMs: t.float({
      nullable: true,
      description: 'Reading the features of `entities`; null when none were given.',
      resolve: ({ features }) => features ?? null,
    }),
    predictMs: t.float({ description: 'The prediction itself.', resolve: ({ predict }) => predict }),
  }),
});

const PredictionType = builder.objectRef<Prediction>('Prediction').implement({
  description: 'What a model said of some rows.',
  fields: (t) => ({
    modelName: t.exposeString('modelName', { description: 'The name of the registered model that was asked.' }),
    modelVersion: t.exposeString('modelVersion', { description: 'The number of the version that answered, as text.' }),
    predictions: t.field({
      type: ['JSON'],
      nullable: { list: false, items: true },
      description: 'One for each row, in their order.',
      resolve: ({ predictions }) => [...predictions],
    }),
    probabilities: t.field({
      type: ['JSON'],
      nullable: { list: true, items: true },
      description: 'For each row its class probabilities; null unless they were asked for.',
      resolve: ({ probabilities }) => (probabilities === null ? null : [...probabilities]),
    }),
    inferenceTimeMs: t.exposeFloat('inferenceTimeMs', {
      description:
        'How long the answer took, in milliseconds: looking up the version and, when it is not loaded yet, loading it ' +
        'are included.',
    }),
    engine: t.expose('engine', { type: ServingEngineType, description: 'What ran the model for this answer.' }),
    origin: t.field({
      type: Origin,
      description: 'The version that answered, and what made it.',
      resolve: (prediction) => prediction,
    }),
    timings: t.expose('timings', { type: Timings, description: 'Where the time went.' }),
    features: t.field({
      type: PredictionFeaturesType,
      nullable: true,
      description: 'What was read from the online store; null unless `entities` were given.',
      resolve: ({ features }) => features,
    }),
  }),
});

const PredictInput = builder.inputType('PredictInput', {
  description: 'Rows to predict, and the model to ask.',
  fields: (t) => ({
    modelName: t.string({ required: true, description: 'The registered model to ask, or `<name>@<alias>`.' }),
    modelVersion: t.string({
      description: 'The number of its version as text, an alias, or `latest`: the newest that works, as when absent.',
    }),
    inputs: t.field({
      type: 'JSON',
      description:
        'An object of columns, each a list with one value for each row: `{"age": [31, 45]}`. With `entities` only those that ' +
        'are no features of theirs, or are to go before them.',
    }),
    entities: t.field({
      type: 'JSON',
      description:
        'Whom to predict, in place of columns: an object of join keys, each a list with one value for each row, at most 1000: ' +
        '`{"customer_id": [1, 2]}`. The features that the version was trained on are read from the online store.',
    }),
    maxFeatureAgeSeconds: t.float({
      description:
        'How old features of `entities` may be; with an older one the request is refused. When absent, what the ttl of their ' +
        'views allows.',
    }),
    returnProbabilities: t.boolean({ defaultValue: false, description: 'Whether to give class probabilities too.' }),
  }),
});

builder.mutationField('predict', (t) =>
  t.field({
    type: PredictionType,
    errors: {
      types: [failures.invalidInput, failures.notFound, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to predict.' },
    },
    description: 'Asks a model version for predictions.',
    args: { input: t.arg({ type: PredictInput, required: true, description: 'The rows and the model.' }) },
    resolve: (_root, { input }, { inference, signal, timings }) =>
      withFailures(async () => {
        const request = parse(input);
        const caller = { parseMs: timings.parseMs, signal, onFailure: timings.take };
        const prediction = await inference.predict(request, caller);
        timings.take(prediction);
        return prediction;
      }),
  }),
);

/** @throws AsgardError INVALID_INPUT with every issue */
function parse(input: typeof PredictInput.$inferInput): PredictionRequest {
  const given = Object.entries(input).filter(([, value]) => value !== null);
  return parseInput(predictionRequest, Object.fromEntries(given), 'the request to predict was not taken');
}
