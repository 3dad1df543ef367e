import { setTimeout as delay } from 'node:timers/promises';
import type { SupervisorContext } from './supervisor-context.ts';

const MLFLOW_POLL_MS = 500;
/** Once MLflow is up. What is asked of the platform as soon as it is comes before what may be asked later. */
const QUIET_MS = 3_000;

/**
 * Starts a launcher of the environment that most jobs use, so that the first of them need not wait for its imports. Only
 * when MLflow is up: they would slow its start. Never rejects: the first job does without, as it would have.
 */
export async function warmUp(
  { executor, mlflow, logger }: Pick<SupervisorContext, 'executor' | 'mlflow' | 'logger'>,
  environmentFolder: string,
): Promise<void> {
  try {
    while (!(await mlflow.isHealthy())) await delay(MLFLOW_POLL_MS, undefined, { ref: false });
    await delay(QUIET_MS, undefined, { ref: false });
    await executor.warmUp(environmentFolder);
  } catch (error) {
    logger.warn({ err: error }, 'launcher.not_warmed_up');
  }
}
