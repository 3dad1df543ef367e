import type { Environment, PrismaClient } from '../database/generated/client.ts';
import { type MadeVersion, makerOf } from '../jobs/version-maker.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';
import type { PythonEnvironment, PythonEnvironments } from '../python/environments.ts';

/**
 * The environment that a version was trained in; the base environment for a version that no job made. The caller disposes of it.
 * @throws AsgardError UNAVAILABLE when it cannot be made; the signal's reason
 */
export async function environmentOfVersion(
  database: PrismaClient,
  environments: Pick<PythonEnvironments, 'prepare' | 'prepareLocked'>,
  version: MadeVersion,
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

async function trainedIn(database: PrismaClient, version: MadeVersion): Promise<Environment | null> {
  const maker = await makerOf(database, version);
  if (maker === null) return null;
  const job = await database.trainingJob.findUnique({
    where: { id: maker.jobId },
    select: { environment: true },
  });
  return job?.environment ?? null;
}
