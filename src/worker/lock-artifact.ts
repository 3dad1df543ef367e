import type { Claim } from '../jobs/queue.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** Among the artifacts of a run. MLflow's UI shows a text only of endings that it knows. */
const PATH = 'asgard/requirements.lock.txt';
/** A job's end waits for it: a store that is away does not hold it up for longer. */
const LIMIT_MS = 3_000;

interface Logged {
  readonly hash: string;
  readonly lock: string;
  readonly python: string;
}

/**
 * Keeps the lock of a job's environment as an artifact of its run, so that who has the run alone can make the environment
 * again. Never rejects: a job is not worth less for it. Safe to repeat.
 */
export async function logLock(
  { database, mlflow, logger }: SupervisorContext,
  claim: Claim,
  runId: string,
): Promise<void> {
  const { jobId } = claim;
  try {
    const [found] = await database.$queryRaw<Logged[]>`
      SELECT e.hash, e.lock, e.python FROM training_jobs j JOIN environments e ON e.hash = j.environment_hash
      JOIN job_attempts a ON a.id = ${claim.id}::bigint
      WHERE j.id = ${jobId} AND NOT a.has_no_artifacts`;
    if (found === undefined) return;
    const text = `# Python ${found.python}, environment ${found.hash}\n${found.lock}`;
    await mlflow.logText(runId, PATH, text, AbortSignal.timeout(LIMIT_MS));
  } catch (error) {
    logger.warn({ jobId, err: error }, 'job.lock_not_logged');
  }
}
