import { setTimeout as delay } from 'node:timers/promises';
import type { JobModelVersion, JobSavedModel, TrainingJob } from '../database/generated/client.ts';
import { appendEvents } from '../jobs/event-store.ts';
import type { Claim } from '../jobs/queue.ts';
import { mlflowTags, recordVersion } from '../jobs/tracking.ts';
import type { JobEnd } from '../jobs/transitions.ts';
import { hasCode, messageOf } from '../platform/errors.ts';
import type { SupervisorContext } from './supervisor-context.ts';

/** A tracking server that is away is waited for this long before the job fails for it. */
const REGISTRATION_TRIES = 20;
const REGISTRATION_RETRY_MS = 1500;

type SavedModel = Pick<JobSavedModel, 'source' | 'path' | 'runId'>;

/**
 * After exit 0: the model that the job saved last becomes a version of its `modelName`, unless the script registered one
 * under that name itself. Says in the job's log what came of it.
 */
export async function concludeSuccess(context: SupervisorContext, job: TrainingJob, claim: Claim): Promise<JobEnd> {
  const saved = await lastSavedModel(context, job.id);
  const runId = saved?.runId ?? null;
  const say = (...lines: string[]) => {
    const at = new Date().toISOString();
    const events = lines.map((text) => ({ type: 'log', at, stream: 'platform', text }) as const);
    return appendEvents(context.database, job.id, events, claim.id);
  };
  try {
    const modelVersion = await versionOf(context, job, claim, saved);
    if (modelVersion === null) {
      await say(
        'No model was saved, so none was registered: log one with mlflow.<flavor>.log_model(…) or as model/model.pkl',
        '✅ Training completed successfully!',
      );
    } else {
      const path = saved === null ? '' : ` (${saved.path})`;
      await say(`✓ Model artifact saved to MLflow${path}`, '✅ Training completed successfully!');
    }
    return { status: 'COMPLETED', runId, modelVersion };
  } catch (error) {
    const problem = `the script succeeded, but its model could not be registered: ${messageOf(error)}`;
    await say(`✗ ${problem}`);
    return { status: 'FAILED', error: problem, runId };
  }
}

async function versionOf(
  context: SupervisorContext,
  job: TrainingJob,
  claim: Claim,
  saved: SavedModel | null,
): Promise<string | null> {
  const own = await lastOwnVersion(context, job);
  if (own !== null) return own.version;
  if (saved === null) return null;
  const version = await whileUnavailable(() =>
    context.models.register({
      name: job.modelName,
      source: saved.source,
      ...(saved.runId === null ? {} : { runId: saved.runId }),
      tags: mlflowTags(job),
    }),
  );
  const { name } = version;
  await recordVersion(
    context.database,
    { jobId: job.id, attemptId: claim.id },
    { name, version: version.version, runId: saved.runId, registeredBy: 'platform' },
  );
  return version.version;
}

function lastOwnVersion({ database }: SupervisorContext, job: TrainingJob): Promise<JobModelVersion | null> {
  return database.jobModelVersion.findFirst({
    where: { jobId: job.id, name: job.modelName },
    orderBy: { createdAt: 'desc' },
  });
}

/**
 * The gateway saw models being saved. What it cannot see is a pickle that a client sent straight to the object store of
 * an external MLflow: that one is looked for among the artifacts of the job's runs, the last run first.
 */
async function lastSavedModel({ database, mlflow }: SupervisorContext, jobId: string): Promise<SavedModel | null> {
  const seen = await database.jobSavedModel.findFirst({ where: { jobId }, orderBy: { id: 'desc' } });
  if (seen !== null) return seen;
  const runs = await database.jobRun.findMany({ where: { jobId }, orderBy: { id: 'desc' }, take: 20 });
  for (const { runId } of runs) {
    const artifacts = await whileUnavailable(() => mlflow.listArtifacts(runId, 'model'));
    const pickle = artifacts.find(({ path }) => path === 'model/model.pkl');
    if (pickle !== undefined) return { source: `runs:/${runId}/model`, path: pickle.path, runId };
  }
  return null;
}

async function whileUnavailable<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      if (!hasCode(error, 'UNAVAILABLE') || tries === REGISTRATION_TRIES) throw error;
      await delay(REGISTRATION_RETRY_MS);
    }
  }
}
