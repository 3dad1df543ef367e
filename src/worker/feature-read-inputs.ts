import { logReadsOfAttempt } from '../jobs/feature-read-log.ts';
import type { Claim } from '../jobs/queue.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** A job's end waits for it. */
const LIMIT_MS = 3_000;

/** Has what an attempt's script read of the feature store on its runs in MLflow. Never rejects. Safe to repeat. */
export async function logFeatureReads(
  { database, mlflow, logger }: SupervisorContext,
  { jobId, id }: Claim,
): Promise<void> {
  try {
    await logReadsOfAttempt(database, mlflow, id, AbortSignal.timeout(LIMIT_MS));
  } catch (error) {
    logger.warn({ jobId, err: error }, 'job.feature_reads_not_logged');
  }
}
