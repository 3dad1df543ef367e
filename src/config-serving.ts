import { z } from 'zod';
import { machineMemory } from './platform/machine-memory.ts';

const MEBIBYTE = 2 ** 20;
const GIBIBYTE = 2 ** 30;
const MODEL_AT_ALIAS = /^[^\s,@/:][^,@/:]*@[A-Za-z0-9_-]+$/;

/** A model by name and the alias of one of its versions. */
interface ModelAlias {
  readonly name: string;
  readonly alias: string;
}

/** How models are served. */
export interface ServingConfig {
  /** What models may take of the memory together. */
  readonly memoryBytes: number;
  /** What the files of models may take of the disk; those in use stay, also beyond it. */
  readonly filesLimitBytes: number;
  /** Models that are loaded when the platform starts. */
  readonly preload: readonly ModelAlias[];
  /** The largest body of a request in JSON. */
  readonly requestLimitBytes: number;
  /** How long a prediction may take once its model is loaded. */
  readonly predictionLimitMs: number;
  /** Whether versions are compiled here; those that are compiled are served so in any case. */
  readonly compiles: boolean;
}

/** A script that is handed in has to fit, and what is parsed at once to be a text of JavaScript's. */
const SMALLEST_LIMIT = 4;
const LARGEST_LIMIT = 256;
const limitRule = `must be a whole number from ${SMALLEST_LIMIT} to ${LARGEST_LIMIT}`;

const LONGEST_PREDICTION_SECONDS = 3600;
const predictionRule = `must be a whole number from 1 to ${LONGEST_PREDICTION_SECONDS}`;

const amount = z
  .string()
  .regex(/^[1-9]\d{0,8}$/, 'must be a whole number from 1 to 999999999')
  .transform(Number);

/** The variables of serving. Memory is in MiB, disk in GiB, time in seconds. */
export const servingVariables = {
  ASGARD_MODEL_MEMORY: amount.optional(),
  ASGARD_MODEL_FILES_LIMIT: amount.default(20),
  ASGARD_REQUEST_LIMIT: z
    .string()
    .regex(/^\d{1,3}$/, limitRule)
    .transform(Number)
    .refine((value) => value >= SMALLEST_LIMIT && value <= LARGEST_LIMIT, limitRule)
    .default(16),
  ASGARD_PREDICT_TIMEOUT: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, predictionRule)
    .transform(Number)
    .refine((value) => value <= LONGEST_PREDICTION_SECONDS, predictionRule)
    .default(30),
  ASGARD_COMPILE: z.enum(['0', '1']).default('1'),
  ASGARD_PRELOAD_MODELS: z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .refine(
      (parts) => parts.every((part) => MODEL_AT_ALIAS.test(part)),
      'must be models with aliases and commas between them, such as churn_predictor@champion',
    )
    .default([]),
};

/** What the variables say. Half of the memory that this process may use is for models when nothing is said. */
export function servingConfig(value: z.output<z.ZodObject<typeof servingVariables>>): ServingConfig {
  const { ASGARD_MODEL_MEMORY: memory } = value;
  // Of a container; it is 0, or larger than what there is, where there is no limit.
  return {
    memoryBytes: memory === undefined ? Math.floor(machineMemory() / 2) : memory * MEBIBYTE,
    filesLimitBytes: value.ASGARD_MODEL_FILES_LIMIT * GIBIBYTE,
    requestLimitBytes: value.ASGARD_REQUEST_LIMIT * MEBIBYTE,
    predictionLimitMs: value.ASGARD_PREDICT_TIMEOUT * 1000,
    compiles: value.ASGARD_COMPILE === '1',
    preload: value.ASGARD_PRELOAD_MODELS.map((text) => {
      const [name = '', alias = ''] = text.split('@');
      return { name, alias };
    }),
  };
}
