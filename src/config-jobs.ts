import { availableParallelism } from 'node:os';
import type { z } from 'zod';
import { MEBIBYTE, oneOf, serverUrl, wholeNumber } from './config-values.ts';

/** How jobs wait and run. */
export interface JobsConfig {
  /** Jobs that run at once in this process. */
  readonly workerSlots: number;
  /** Warm Python processes that start scripts in milliseconds, one for an environment; 0: none. */
  readonly launchers: number;
  /** What scripts are given as their MLflow tracking server; absent: the platform's own MLflow port. */
  readonly gatewayUrl: string | undefined;
  /** Jobs that may wait at once; what is handed in beyond them is refused. */
  readonly maxQueued: number;
  /** How long the machine of a running job may be silent before the job is given up. */
  readonly lostAfterSeconds: number;
  /** How much of what a script prints is kept: of more, the middle goes. */
  readonly outputLimitBytes: number;
  /** Processes and threads that a script may have at once, where it is set apart. */
  readonly processLimit: number;
  /** How long a registered model may take to be loaded and to predict an example. */
  readonly modelCheckSeconds: number;
  /** Whether scripts are set apart from the platform: as far as the system allows, not at all, or fully or not at all. */
  readonly isolation: 'auto' | 'off' | 'required';
}

export const jobsVariables = {
  ASGARD_WORKER_SLOTS: wholeNumber(1, 1000).default(Math.max(2, availableParallelism())),
  ASGARD_LAUNCHERS: wholeNumber(0, 100).default(2),
  ASGARD_GATEWAY_URL: serverUrl.transform((url) => url.replace(/\/+$/, '')).optional(),
  ASGARD_MAX_QUEUED: wholeNumber(1, 1_000_000).default(10_000),
  ASGARD_LOST_AFTER: wholeNumber(60, 10_000_000, 'seconds').default(24 * 3600),
  ASGARD_OUTPUT_LIMIT: wholeNumber(1, 1_000_000, 'MiB').default(64),
  ASGARD_PROCESS_LIMIT: wholeNumber(16, 4_000_000).default(Math.max(256, 128 * availableParallelism())),
  ASGARD_MODEL_CHECK_LIMIT: wholeNumber(1, 3600, 'seconds').default(120),
  ASGARD_ISOLATION: oneOf('auto', 'off', 'required').default('auto'),
};

export function jobsConfig(value: z.output<z.ZodObject<typeof jobsVariables>>): JobsConfig {
  return {
    workerSlots: value.ASGARD_WORKER_SLOTS,
    launchers: value.ASGARD_LAUNCHERS,
    gatewayUrl: value.ASGARD_GATEWAY_URL,
    maxQueued: value.ASGARD_MAX_QUEUED,
    lostAfterSeconds: value.ASGARD_LOST_AFTER,
    outputLimitBytes: value.ASGARD_OUTPUT_LIMIT * MEBIBYTE,
    processLimit: value.ASGARD_PROCESS_LIMIT,
    modelCheckSeconds: value.ASGARD_MODEL_CHECK_LIMIT,
    isolation: value.ASGARD_ISOLATION,
  };
}
