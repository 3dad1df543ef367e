import { type Prediction, type PredictionRequest, predictionRequest } from '../../src/inference/service.ts';
import { builder } from '../builder.ts';
import { failures, invalidInputOf, withFailures } from '../errors.ts';

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
      required: true,
      description: 'An object of columns, each a list with one value for each row: `{"age": [31, 45]}`.',
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
    resolve: (_root, { input }, { inference }) => withFailures(() => inference.predict(parse(input))),
  }),
);

/** @throws AsgardError INVALID_INPUT with every issue */
function parse({ modelVersion, returnProbabilities, ...rest }: typeof PredictInput.$inferInput): PredictionRequest {
  const parsed = predictionRequest.safeParse({
    ...rest,
    modelVersion: modelVersion ?? undefined,
    returnProbabilities: returnProbabilities ?? undefined,
  });
  if (parsed.success) return parsed.data;
  throw invalidInputOf(parsed.error, 'the request to predict was not taken');
}
