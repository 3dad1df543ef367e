import type { PrismaClient } from '../database/generated/client.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';
import type { PythonEnvironment, PythonEnvironments } from '../python/environments.ts';

/**
 * The environment that a version was trained in; the base environment for a version that no job made. The caller disposes of it.
 * @throws AsgardError UNAVAILABLE when it cannot be made; the signal's reason
 */
export async function environmentOfVersion(
  database: PrismaClient,
  environments: Pick<PythonEnvironments, 'prepare' | 'prepareLocked'>,
  version: Pick<ModelVersion, 'name' | 'version' | 'runId'>,
  signal: AbortSignal,
): Promise<PythonEnvironment> {
  const trained = await trainedIn(database, version);
  try {
    if (trained === null) return await environments.prepare({ requirements: [], signal });
    return await environments.prepareLocked(trained.lock, trained.python, { signal });
  } catch (cause) {
    signal.throwIfAborted();
    const of = `model ${version.name} version ${version.version}`;
    // Whatever it is, the caller's request is not what is wrong.
    throw new AsgardError('UNAVAILABLE', `the environment of ${of} could not be made: ${messageOf(cause)}`, { cause });
  }
}

/** By the run first: what is known of a name and number may be of a model that was deleted. */
async function trainedIn(
  database: PrismaClient,
  { name, version, runId }: Pick<ModelVersion, 'name' | 'version' | 'runId'>,
) {
  const select = { job: { select: { environment: true } } };
  const run = runId === null ? null : await database.jobRun.findUnique({ where: { runId }, select });
  if (run !== null) return run.job.environment;
  const made = await database.jobModelVersion.findUnique({ where: { name_version: { name, version } }, select });
  return made?.job.environment ?? null;
}
