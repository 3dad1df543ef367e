import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { JOB_TOKEN_PREFIX } from '../auth/credentials.ts';
import type { JobAttempt, PrismaClient, TrainingJob } from '../database/generated/client.ts';
import type { MlflowClient } from '../mlflow/client.ts';
import type { GatewayObserver } from '../mlflow/gateway-options.ts';
import type { JobIdentity } from '../mlflow/job-identity.ts';
import type { Observation } from '../mlflow/observation.ts';
import { assertNever, messageOf } from '../platform/errors.ts';
import { appendEvents } from './event-store.ts';
import { logReads } from './feature-read-log.ts';
import { LoggedMetrics } from './logged-metrics.ts';

/** The script waits for its run meanwhile. */
const LOG_READS_LIMIT_MS = 3_000;
/** It becomes a part of the job's error. */
const MAX_REASON_CHARACTERS = 500;

/**
 * A token for one attempt's script, good while the attempt is open. Only its hash is stored.
 * @returns null when the attempt has ended, or is another worker's
 */
export async function issueJobToken(
  database: PrismaClient,
  { id, workerId }: Pick<JobAttempt, 'id' | 'workerId'>,
): Promise<string | null> {
  const token = JOB_TOKEN_PREFIX + randomBytes(24).toString('base64url');
  const where = { id, workerId, endedAt: null };
  const { count } = await database.jobAttempt.updateMany({ where, data: { tokenHash: hashOf(token) } });
  return count === 1 ? token : null;
}

/** What the MLflow gateway sees of jobs becomes rows and events: which runs, metrics, models and versions are whose. */
export class JobTracking implements GatewayObserver {
  readonly #database: PrismaClient;
  readonly #mlflow: MlflowClient;
  readonly #metrics: LoggedMetrics;

  constructor(database: PrismaClient, mlflow: MlflowClient) {
    this.#database = database;
    this.#mlflow = mlflow;
    this.#metrics = new LoggedMetrics(database);
  }

  /** The job that a token speaks for; null when it is unknown or its attempt has ended. */
  async authenticate(token: string): Promise<JobIdentity | null> {
    const attempt = await this.#database.jobAttempt.findFirst({
      where: { tokenHash: hashOf(token), endedAt: null },
      select: { id: true, jobId: true, hasNoArtifacts: true },
    });
    if (attempt === null) return null;
    const { id: attemptId, jobId, hasNoArtifacts } = attempt;
    return { jobId, attemptId, hasNoArtifacts };
  }

  /** Stores what a job's script did. Safe to repeat: the same thing counts once. */
  async record({ jobId, attemptId }: JobIdentity, observation: Observation): Promise<void> {
    switch (observation.type) {
      case 'run': {
        const { runId, experimentId } = observation;
        await this.#database.jobRun.createMany({
          data: [{ jobId, attemptId, runId, experimentId }],
          skipDuplicates: true,
        });
        await this.#tagRun(runId, { jobId, attemptId });
        // At the attempt's end it is done again.
        const signal = AbortSignal.timeout(LOG_READS_LIMIT_MS);
        await logReads(this.#database, this.#mlflow, runId, signal).catch(() => {});
        return;
      }
      case 'metrics': {
        await this.#metrics.append({ jobId, attemptId }, observation.metrics);
        return;
      }
      case 'model-saved': {
        const { source, path, runId } = observation;
        // A model that is saved again moves to the end of the order: the last one saved is the job's.
        await this.#database.$executeRaw`
          INSERT INTO job_saved_models (job_id, attempt_id, source, path, run_id)
          VALUES (${jobId}, ${attemptId}, ${source}, ${path}, ${runId})
          ON CONFLICT (job_id, source) DO UPDATE SET id = DEFAULT, attempt_id = excluded.attempt_id, path = excluded.path,
            run_id = excluded.run_id`;
        return;
      }
      case 'version': {
        const { name, version, runId } = observation;
        await recordVersion(this.#database, { jobId, attemptId }, { name, version, runId, registeredBy: 'script' });
        return;
      }
      case 'artifact-refused': {
        const artifactError = observation.reason.replaceAll('\0', '').slice(0, MAX_REASON_CHARACTERS);
        await this.#database.jobAttempt.update({ where: { id: attemptId }, data: { artifactError } });
        return;
      }
      case 'discarded': {
        await this.#database.jobAttempt.updateMany({
          where: { id: attemptId, hasNoArtifacts: false },
          data: { hasNoArtifacts: true },
        });
        if (observation.registration === null) return;
        const text = `✗ ${observation.registration} was not registered, as its artifacts were not saved: the script got the version 0, which does not exist`;
        await appendEvents(
          this.#database,
          jobId,
          [{ type: 'log', at: new Date().toISOString(), stream: 'platform', text }],
          { id: attemptId },
        );
        return;
      }
      default:
        assertNever(observation);
    }
  }

  /** The run is there already, so a failure is told in the job's log rather than to the script, which would make it again. */
  async #tagRun(runId: string, { jobId, attemptId }: JobIdentity): Promise<void> {
    const select = { id: true, tags: true };
    const job = await this.#database.trainingJob.findUniqueOrThrow({ where: { id: jobId }, select });
    await this.#mlflow.setRunTags(runId, mlflowTags(job)).catch(async (error: unknown) => {
      const text = `The job's tags could not be set on run ${runId}: ${messageOf(error)}`;
      const event = { type: 'log', at: new Date().toISOString(), stream: 'platform', text } as const;
      await appendEvents(this.#database, jobId, [event], { id: attemptId });
    });
  }
}

/** The tags that everything of a job bears in MLflow: those it was handed in with, and its id. */
export function mlflowTags(job: Pick<TrainingJob, 'id' | 'tags'>): Record<string, string> {
  return { ...z.record(z.string(), z.string()).parse(job.tags), 'asgard.job_id': job.id };
}

/** Ties a registered version to the job it came out of, with its event. A version that is known already adds no event. */
export async function recordVersion(
  database: PrismaClient,
  { jobId, attemptId }: JobIdentity,
  version: { name: string; version: string; runId: string | null; registeredBy: 'script' | 'platform' },
): Promise<void> {
  await database.$transaction(async (transaction) => {
    const { name: modelName, ...rest } = version;
    // MLflow numbers the versions of a model that was deleted and made anew from 1 again: the newest job has the version.
    const written = await transaction.$executeRaw`
      INSERT INTO job_model_versions (name, version, job_id, attempt_id)
      VALUES (${modelName}, ${version.version}, ${jobId}, ${attemptId})
      ON CONFLICT (name, version) DO UPDATE SET job_id = excluded.job_id, attempt_id = excluded.attempt_id, created_at = now()
      WHERE job_model_versions.job_id <> excluded.job_id`;
    if (written === 0) return;
    await appendEvents(
      transaction,
      jobId,
      [{ type: 'registration', at: new Date().toISOString(), modelName, ...rest }],
      { id: attemptId },
    );
  });
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
