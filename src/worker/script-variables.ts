import { z } from 'zod';
import type { TrainingJob } from '../database/generated/client.ts';
import { storedPins, wirePins } from '../jobs/feature-pins.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** Where a script finds its feature repository, as the guide names it. */
const FEAST_REPO_PATH = '/tmp/feast_repo';

/**
 * A script outlives restarts of the platform and of MLflow: its calls meanwhile are tried again for some minutes, with
 * waits of at most 5 s (MLflow's own double up to two minutes, which would waste the time after a restart).
 */
const PATIENCE = {
  MLFLOW_HTTP_REQUEST_MAX_RETRIES: '60',
  _MLFLOW_HTTP_REQUEST_MAX_RETRIES_LIMIT: '60',
  MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR: '0',
  MLFLOW_HTTP_REQUEST_BACKOFF_JITTER: '5',
};

/**
 * The variables that a job's script gets beside those of every Python process: its own, as they were handed in, and the
 * platform's, which it cannot replace. `MLFLOW_RUN_ID` is left out on purpose: with it, a script that chooses another
 * experiment fails.
 * @param token tells the gateway which job is talking
 */
export function scriptVariables(
  job: TrainingJob,
  token: string,
  { gatewayUrl, keepsTrainingRows }: Pick<SupervisorContext, 'gatewayUrl' | 'keepsTrainingRows'>,
): Record<string, string> {
  const pins = storedPins(job.featurePins);
  return {
    ...PATIENCE,
    ...z.record(z.string(), z.string()).parse(job.environmentVars),
    MLFLOW_TRACKING_URI: gatewayUrl,
    MLFLOW_TRACKING_TOKEN: token,
    MLFLOW_EXPERIMENT_NAME: job.experimentName,
    FEAST_REPO_PATH,
    ASGARD_JOB_ID: job.id,
    ASGARD_MODEL_NAME: job.modelName,
    ...(!keepsTrainingRows && { ASGARD_TRAINING_SAMPLE: 'off' }),
    ...(pins !== null && { ASGARD_FEATURE_PINS: JSON.stringify(wirePins(pins)) }),
  };
}
