import { setTimeout as delay } from 'node:timers/promises';
import { firstView } from './first-view.ts';
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

/** A script that reads features, as `usesFeast` sees it. */
const READER = 'import feast';

/**
 * The same for scripts that read features, as soon as there is something to read: their environment is made, and a launcher of
 * it started, which takes Feast's import of many seconds. Never rejects.
 */
export async function warmUpForFeatures({
  environments,
  executor,
  features,
  logger,
}: SupervisorContext): Promise<void> {
  if (features === undefined) return;
  try {
    await firstView(features.database);
    using environment = await environments.prepare({ requirements: [], usesFeast: true });
    await executor.warmUp(environment.folder, READER);
  } catch (error) {
    logger.warn({ err: error }, 'launcher.not_warmed_up');
  }
}
