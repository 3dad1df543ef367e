import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../../config.ts';
import type { MlflowClient } from '../../mlflow/client.ts';
import { pathAmong } from '../../mlflow/stored-folder.ts';
import type { ModelVersion, Run } from '../../mlflow/wire.ts';

/** A folder among the artifacts of a run. */
export interface ArtifactFolder {
  readonly runId: string;
  /** From the root of the run's artifacts; empty: that root. */
  readonly path: string;
  /** What is in it. */
  readonly names: readonly string[];
}

const MAX_FILE_CHARACTERS = 512 * 1024;
const JOBLIB_LOADER = join(PROJECT_ROOT, 'python', 'asgard', 'asgard_joblib.py');

/**
 * The folder of a version's files, where other files may be put: one of its run's.
 * @returns null when its files are elsewhere, or one file alone
 */
export async function placeBeside(
  mlflow: MlflowClient,
  { source }: Pick<ModelVersion, 'source'>,
  run: Pick<Run, 'id' | 'artifactUri'>,
  signal: AbortSignal,
): Promise<ArtifactFolder | null> {
  const path = pathAmong(run.artifactUri, source);
  if (path === null) return null;
  const listed = await mlflow.listArtifacts(run.id, path === '' ? undefined : path, signal);
  // A file lists nothing.
  if (listed.length === 0) return null;
  return { runId: run.id, path, names: listed.map((each) => each.path.slice(each.path.lastIndexOf('/') + 1)) };
}

/** The module, beside the MLmodel that names it, by which MLflow loads what joblib wrote. */
export async function joblibLoader(): Promise<Record<string, string>> {
  return { 'code/asgard_joblib.py': await readFile(JOBLIB_LOADER, 'utf8') };
}

/**
 * Writes texts as files of the folder, but for those that its owner has put there. `MLmodel` comes last: with it, what is in
 * there is a model of MLflow's.
 */
export async function writeBeside(
  mlflow: MlflowClient,
  { runId, path, names }: ArtifactFolder,
  { MLmodel: last, ...others }: Readonly<Record<string, string>> & { readonly MLmodel: string },
  signal: AbortSignal,
): Promise<void> {
  if (last.length > MAX_FILE_CHARACTERS) return;
  const write = ([name, text]: [string, string]) => {
    return mlflow.logText(runId, path === '' ? name : `${path}/${name}`, text, signal);
  };
  await Promise.all(
    Object.entries(others)
      .filter(([name]) => !names.includes(name))
      .map(write),
  );
  await write(['MLmodel', last]);
}
