import { z } from 'zod';
import { bounded } from '../../platform/bounded.ts';
import { wholeList } from '../../platform/whole-list.ts';
import { components } from '../wire-answers.ts';
import { DATATYPES } from './datatypes.ts';

/*
 * The messages of the Open Inference Protocol V2: https://github.com/open-inference/open-inference-protocol
 * Parameters that are not known are ignored, as the protocol lets clients have their own.
 */

const MAX_TENSORS = 100_000;
const MAX_RANK = 16;

const datatype = z.enum(DATATYPES);
const shape = z.array(z.int().min(1)).min(1).max(MAX_RANK);
const tensorName = z.string().min(1).max(4096);
const byteSize = z.int().min(0).nullish();

const requestInput = z.object({
  name: tensorName.describe('A column of the model.'),
  datatype,
  shape: shape.describe('The first dimension is the rows.'),
  data: wholeList()
    .nullish()
    .describe('The elements in the order of rows, flat or nested as the shape says. In binary form it is left out.'),
  parameters: z
    .looseObject({ binary_data_size: byteSize.describe('How many bytes behind the JSON are its elements.') })
    .nullish(),
});

const isNotSupported = z.never({ error: 'is not supported' }).nullish();

const requestOutput = z.object({
  name: tensorName,
  parameters: z
    .looseObject({
      binary_data: z.boolean().nullish().describe('Whether its elements shall follow the JSON as bytes.'),
      classification: isNotSupported,
      shared_memory_region: isNotSupported,
    })
    .nullish(),
});

export const inferRequest = z
  .object({
    id: z.string().max(1000).nullish().describe('Given back in the answer.'),
    inputs: bounded(z.array(requestInput).min(1).meta({ maxItems: MAX_TENSORS }), MAX_TENSORS).describe(
      'A tensor for each column, of shape `[rows]` or `[rows, 1]`; or one of shape `[rows, columns]`, in the model’s order of columns.',
    ),
    outputs: bounded(z.array(requestOutput).meta({ maxItems: MAX_TENSORS }), MAX_TENSORS)
      .nullish()
      .describe('Those that are wanted; all when absent. `probabilities` is given only when it is named.'),
    parameters: z
      .looseObject({
        return_probabilities: z.boolean().nullish().describe('Whether to give `probabilities` too.'),
        binary_data_output: z
          .boolean()
          .nullish()
          .describe('Whether all outputs shall follow the JSON as bytes, but those that say otherwise.'),
      })
      .nullish(),
  })
  .meta({
    description: 'Rows to predict, as tensors.',
    examples: [
      {
        id: '42',
        inputs: [
          { name: 'age', datatype: 'FP64', shape: [2], data: [22, 66] },
          { name: 'visits', datatype: 'INT64', shape: [2], data: [1, 9] },
        ],
        parameters: { return_probabilities: true },
      },
    ],
  })
  .register(components, { id: 'InferRequest' });

export type InferRequest = z.output<typeof inferRequest>;
export type RequestInput = z.output<typeof requestInput>;

const answerOutput = z.object({
  name: z.string(),
  datatype,
  shape: z.array(z.int().min(0)),
  data: z.array(z.unknown()).optional().describe('The elements in the order of rows; absent in binary form.'),
  parameters: z.object({ binary_data_size: z.int().min(0) }).optional(),
});

export type AnswerOutput = z.output<typeof answerOutput>;

export const inferAnswer = z
  .object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    outputs: z.array(answerOutput),
  })
  .describe('What a model predicts, as tensors.')
  .meta({
    examples: [
      {
        model_name: 'churn_predictor',
        model_version: '1',
        id: '42',
        outputs: [
          { name: 'predictions', datatype: 'INT64', shape: [2], data: [0, 1] },
          { name: 'probabilities', datatype: 'FP64', shape: [2, 2], data: [0.86, 0.14, 0.2, 0.8] },
        ],
      },
    ],
  })
  .register(components, { id: 'InferAnswer' });

const metadataTensor = z.object({
  name: z.string(),
  datatype,
  shape: z.array(z.int().min(-1)).describe('-1 is any length; the first dimension is the rows.'),
  parameters: z
    .object({ is_datatype_known: z.literal(false) })
    .optional()
    .describe('When the model does not say of which type it is: then others are taken, too.'),
});

export const modelMetadata = z
  .object({
    name: z.string(),
    versions: z.array(z.string()).describe('The newest 100 of those that are served.'),
    platform: z.string(),
    inputs: z.array(metadataTensor),
    outputs: z.array(metadataTensor).describe('`probabilities` is not among them.'),
    parameters: z.object({ version: z.string() }).describe('The version that the tensors are of.'),
  })
  .describe('What a model takes and gives.')
  .meta({
    examples: [
      {
        name: 'churn_predictor',
        versions: ['1', '2'],
        platform: 'mlflow_pyfunc',
        inputs: [{ name: 'age', datatype: 'FP64', shape: [-1] }],
        outputs: [{ name: 'predictions', datatype: 'INT64', shape: [-1] }],
        parameters: { version: '2' },
      },
    ],
  })
  .register(components, { id: 'InferenceModel' });

export const serverMetadata = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  .describe('What answers.')
  .register(components, { id: 'InferenceServer' });

export const serverLive = z
  .object({ live: z.literal(true) })
  .describe('The server answers.')
  .register(components, { id: 'InferenceServerLive' });

export const serverReady = z
  .object({ ready: z.literal(true) })
  .describe('Every part of the platform answers.')
  .register(components, { id: 'InferenceServerReady' });

export const modelReady = z
  .object({ name: z.string(), ready: z.literal(true) })
  .describe('The model works.')
  .register(components, { id: 'InferenceModelReady' });

export const inferenceError = z
  .object({ error: z.string().describe('What is wrong, and what to do.') })
  .describe('A refusal or a failure.')
  .register(components, { id: 'InferenceError' });
