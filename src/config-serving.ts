import type { z } from 'zod';
import { GIBIBYTE, list, MEBIBYTE, oneOf, wholeNumber } from './config-values.ts';
import { machineMemory } from './platform/machine-memory.ts';

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

/** The variables of serving. Memory is in MiB, disk in GiB, time in seconds. */
export const servingVariables = {
  ASGARD_MODEL_MEMORY: wholeNumber(1, 999_999_999, 'MiB').optional(),
  ASGARD_MODEL_FILES_LIMIT: wholeNumber(1, 999_999_999, 'GiB').default(20),
  // A script that is handed in has to fit, and what is parsed at once to be a text of JavaScript's.
  ASGARD_REQUEST_LIMIT: wholeNumber(4, 256, 'MiB').default(16),
  ASGARD_PREDICT_TIMEOUT: wholeNumber(1, 3600, 'seconds').default(30),
  ASGARD_COMPILE: oneOf('0', '1').default('1'),
  ASGARD_PRELOAD_MODELS: list(
    (text) => MODEL_AT_ALIAS.test(text),
    'must be models with aliases and commas between them, such as churn_predictor@champion',
  ).default([]),
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
