import type { JobModelVersion, JobSavedModel, TrainingJob } from '../database/generated/client.ts';
import { readEventsBefore } from '../jobs/event-store.ts';
import type { Claim } from '../jobs/queue.ts';
import { mlflowTags, recordVersion } from '../jobs/tracking.ts';
import type { JobEnd } from '../jobs/transitions.ts';
import { filterString } from '../mlflow/filter.ts';
import { untilAborted } from '../platform/abort.ts';
import { hasCode, isRetryable, messageOf } from '../platform/errors.ts';
import { retry } from '../platform/retry.ts';
import type { ExitRecord } from '../python/frames.ts';
import { howEnded } from '../python/how-ended.ts';
import { failureHint } from './failure-hint.ts';
import type { SupervisorContext } from './supervisor-context.ts';
import { uncaughtIn } from './uncaught.ts';

/** In the guide's words, which its users look for. */
const SUCCEEDED = '✅ Training completed successfully!';
const NOT_SAVED = '⚠️ Note: Model artifact not saved (AWS S3 credentials not configured)';
/** A tracking server that is away is waited for half a minute before the job fails for it. */
const REGISTRATION = {
  isPassing: (error: unknown) => hasCode(error, 'UNAVAILABLE'),
  tries: 20,
  pauseMs: 1500,
};

/** Above the number of each event. */
const AFTER_ALL = 2 ** 31;
/** A traceback, and what threads and libraries print while Python ends. */
const LAST_EVENTS = 500;

type SavedModel = Pick<JobSavedModel, 'source' | 'path' | 'runId'>;

/**
 * After exit 0: the model that the job saved last becomes a version of its `modelName`, unless the script registered one
 * under that name itself. The end's last lines say what came of it. Safe to repeat: a version that an earlier call made
 * before its worker was gone is found again.
 * @throws the signal's reason when that aborts
 */
export async function concludeSuccess(
  context: SupervisorContext,
  job: TrainingJob,
  claim: Claim,
  signal: AbortSignal,
): Promise<JobEnd> {
  let saved: SavedModel | null = null;
  try {
    const [isDiscarded, own, seen] = await Promise.all([
      hasNoArtifacts(context, claim),
      lastOwnVersion(context, job, claim),
      lastSeenModel(context, claim),
    ]);
    signal.throwIfAborted();
    if (isDiscarded) return { status: 'COMPLETED', modelVersion: null, lastLines: [NOT_SAVED, SUCCEEDED] };
    saved = seen ?? (await untilAborted(lastUnseenModel(context, claim, signal), signal));
    const modelVersion =
      own?.version ?? (saved && (await untilAborted(register(context, job, claim, saved, signal), signal)));
    const lastLines = [savedLine(saved, modelVersion), SUCCEEDED];
    return { status: 'COMPLETED', runId: saved?.runId ?? null, modelVersion, lastLines };
  } catch (error) {
    signal.throwIfAborted();
    const problem = `the script succeeded, but its model could not be registered: ${messageOf(error)}`;
    const isInfrastructure = isRetryable(error);
    return {
      status: 'FAILED',
      error: problem,
      isInfrastructure,
      runId: saved?.runId ?? null,
      lastLines: [`✗ ${problem}`],
    };
  }
}

function savedLine(saved: SavedModel | null, modelVersion: string | null): string {
  if (modelVersion === null) {
    return 'No model was saved, so none was registered: log one with mlflow.<flavor>.log_model(…) or as model/model.pkl';
  }
  return `✓ Model artifact saved to MLflow${saved === null ? '' : ` (${saved.path})`}`;
}

async function register(
  context: SupervisorContext,
  job: TrainingJob,
  claim: Claim,
  saved: SavedModel,
  signal: AbortSignal,
): Promise<string> {
  const runId = saved.runId === null ? {} : { runId: saved.runId };
  const request = { name: job.modelName, source: saved.source, tags: mlflowTags(job), ...runId };
  const version =
    (claim.isTakenOver ? await versionMadeBefore(context, job, saved, signal) : undefined) ??
    (await retry(() => context.models.register(request), { ...REGISTRATION, signal }));
  const { name } = version;
  await recordVersion(
    context.database,
    { jobId: job.id, attemptId: claim.id },
    { name, version: version.version, runId: saved.runId, registeredBy: 'platform' },
  );
  return version.version;
}

/** A version of what was saved that MLflow has and nobody noted: whoever made it was gone before it could. */
async function versionMadeBefore(
  { mlflow }: SupervisorContext,
  job: TrainingJob,
  saved: SavedModel,
  signal: AbortSignal,
) {
  const filter = filterString('tags.`asgard.job_id`', [job.id]);
  const search = () => mlflow.searchModelVersions({ filter, maxResults: 100, signal });
  const { items } = await retry(search, { ...REGISTRATION, signal });
  // One of an earlier attempt is of another run.
  return items.find(({ name, runId, source }) => {
    return name === job.modelName && (saved.runId === null ? source === saved.source : runId === saved.runId);
  });
}

/** After another exit than 0. An artifact that could not be saved is nearly always why, else an exception that nothing caught. */
export async function concludeFailure(
  { database, dataFolder }: SupervisorContext,
  claim: Claim,
  exit: Pick<ExitRecord, 'code' | 'signal'>,
): Promise<JobEnd> {
  const { artifactError } = await database.jobAttempt.findUniqueOrThrow({ where: { id: claim.id } });
  const how = `the script ${howEnded(exit)}`;
  if (artifactError !== null) {
    return { status: 'FAILED', error: `${how}; an artifact could not be saved: ${artifactError}` };
  }
  const last = await readEventsBefore(database, claim.jobId, AFTER_ALL, LAST_EVENTS);
  const uncaught = uncaughtIn(last, exit.code);
  if (uncaught === null) return { status: 'FAILED', error: how };
  const hint = failureHint(uncaught, dataFolder);
  return { status: 'FAILED', error: `${how}: ${uncaught}`, ...(hint !== null && { lastLines: [hint] }) };
}

/** The gateway discarded what the script sent, as there are no credentials for the bucket. */
async function hasNoArtifacts({ database }: SupervisorContext, claim: Claim): Promise<boolean> {
  const attempt = await database.jobAttempt.findUniqueOrThrow({ where: { id: claim.id } });
  return attempt.hasNoArtifacts;
}

function lastOwnVersion(
  { database }: SupervisorContext,
  job: TrainingJob,
  { id: attemptId }: Claim,
): Promise<JobModelVersion | null> {
  return database.jobModelVersion.findFirst({
    where: { jobId: job.id, attemptId, name: job.modelName },
    orderBy: { createdAt: 'desc' },
  });
}

/** The gateway saw models being saved. What an earlier attempt saved is not this one's. */
function lastSeenModel(
  { database }: SupervisorContext,
  { jobId, id: attemptId }: Claim,
): Promise<JobSavedModel | null> {
  return database.jobSavedModel.findFirst({ where: { jobId, attemptId }, orderBy: { id: 'desc' } });
}

/**
 * What the gateway cannot see is a pickle that a client sent straight to the object store of an external MLflow: that one is
 * looked for among the artifacts of the attempt's runs, the last run first.
 */
async function lastUnseenModel(
  { database, mlflow }: SupervisorContext,
  { jobId, id: attemptId }: Claim,
  signal: AbortSignal,
): Promise<SavedModel | null> {
  const runs = await database.jobRun.findMany({ where: { jobId, attemptId }, orderBy: { id: 'desc' }, take: 20 });
  for (const { runId } of runs) {
    const artifacts = await retry(() => mlflow.listArtifacts(runId, 'model', signal), {
      ...REGISTRATION,
      signal,
    }).catch((error: unknown) => {
      // A store that does not list what it has cannot fail a script that succeeded.
      if (hasCode(error, 'UNAVAILABLE') || signal.aborted) throw error;
      return [];
    });
    const pickle = artifacts.find(({ path }) => path === 'model/model.pkl');
    if (pickle !== undefined) return { source: `runs:/${runId}/model`, path: pickle.path, runId };
  }
  return null;
}
