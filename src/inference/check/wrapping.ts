import type { MlflowClient } from '../../mlflow/client.ts';
import { orNull } from '../../mlflow/upstream-error.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';

/** A folder among the artifacts of a run. */
interface ArtifactFolder {
  readonly runId: string;
  /** From the root of the run's artifacts. */
  readonly path: string;
}

const MAX_FILE_CHARACTERS = 512 * 1024;

/**
 * The folder of a version's files, where other files may be put: one of its run's, and not the root, which is the run's own.
 * @returns null when its files are elsewhere
 */
export async function placeBeside(
  mlflow: MlflowClient,
  { runId, source }: Pick<ModelVersion, 'runId' | 'source'>,
  signal: AbortSignal,
): Promise<ArtifactFolder | null> {
  if (runId === null || !source.includes(runId)) return null;
  const run = await orNull(mlflow.getRun(runId, signal));
  if (run === null) return null;
  const root = `${run.artifactUri.replace(/\/+$/, '')}/`;
  const path = source.startsWith(root) ? source.slice(root.length).replace(/\/+$/, '') : '';
  return path === '' ? null : { runId, path };
}

/** Writes texts as files of the folder. `MLmodel` comes last: with it, what is in there is a model of MLflow's. */
export async function writeBeside(
  mlflow: MlflowClient,
  { runId, path }: ArtifactFolder,
  { MLmodel: last, ...others }: Readonly<Record<string, string>> & { readonly MLmodel: string },
  signal: AbortSignal,
): Promise<void> {
  if (last.length > MAX_FILE_CHARACTERS) return;
  const write = ([name, text]: [string, string]) => mlflow.logText(runId, `${path}/${name}`, text, signal);
  await Promise.all(Object.entries(others).map(write));
  await write(['MLmodel', last]);
}
