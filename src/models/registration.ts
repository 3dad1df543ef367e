import { setTimeout as delay } from 'node:timers/promises';
import type { MlflowClient, NewModelVersion } from '../mlflow/client.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { AsgardError, hasCode } from '../platform/errors.ts';

/** MLflow numbers versions by reading the highest, tries that three times, and gives up when others were faster. */
const MAX_NUMBERING_ATTEMPTS = 8;
const NUMBERING_BACKOFF_MS = 50;
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 250;

/**
 * A model's version as MLflow's own client registers it: the name first (another may do so at the same moment), then
 * the version, then waiting until it is READY.
 * @throws AsgardError NOT_FOUND when the run or logged model does not exist, INVALID_INPUT for a name or a source that
 * MLflow refuses, UPSTREAM when MLflow fails the registration, TIMEOUT when it is not READY within 60 s
 */
export async function registerVersion(mlflow: MlflowClient, version: NewModelVersion): Promise<ModelVersion> {
  const resolved = await resolveSource(mlflow, version);
  await mlflow.createRegisteredModel(version.name).catch((error: unknown) => {
    if (!hasCode(error, 'CONFLICT')) throw error;
  });
  return untilReady(mlflow, await createNumbered(mlflow, resolved));
}

/**
 * The source as the registry keeps it. `runs:/<run>/<path>` becomes the place where the run's artifacts are, since not
 * every reader of a version knows runs; `models:/m-…` goes with its model's id, without which the server refuses it. What
 * is resolved stays as it is.
 */
export async function resolveSource(mlflow: MlflowClient, version: NewModelVersion): Promise<NewModelVersion> {
  const [, runId, path] = /^runs:\/+([^/]+)\/(.+)$/.exec(version.source) ?? [];
  if (runId !== undefined && path !== undefined) {
    const run = await mlflow.getRun(runId);
    return { ...version, source: `${run.artifactUri.replace(/\/+$/, '')}/${path}`, runId };
  }
  const modelId = /^models:\/+(m-[^/]+)$/.exec(version.source)?.[1];
  return modelId === undefined ? version : { ...version, modelId };
}

async function createNumbered(mlflow: MlflowClient, version: NewModelVersion): Promise<ModelVersion> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await mlflow.createModelVersion(version);
    } catch (error) {
      // nothing was created: MLflow says so only after its own attempts were all rolled back
      const isOutnumbered = error instanceof AsgardError && /giving up after \d+ attempts/i.test(error.message);
      if (!isOutnumbered || attempt === MAX_NUMBERING_ATTEMPTS) throw error;
      await delay(NUMBERING_BACKOFF_MS * attempt * Math.random());
    }
  }
}

async function untilReady(mlflow: MlflowClient, created: ModelVersion): Promise<ModelVersion> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  let version = created;
  while (version.status === 'PENDING_REGISTRATION') {
    if (performance.now() > deadline) {
      throw new AsgardError('TIMEOUT', `version ${version.version} of ${version.name} is still pending after 60 s`);
    }
    await delay(READY_POLL_MS);
    version = await mlflow.getModelVersion(version.name, version.version);
  }
  if (version.status === 'FAILED_REGISTRATION') {
    const why = version.statusMessage ?? 'MLflow does not say why';
    throw new AsgardError(
      'UPSTREAM',
      `MLflow failed to register version ${version.version} of ${version.name}: ${why}`,
    );
  }
  return version;
}
