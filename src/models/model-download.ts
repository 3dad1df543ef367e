import { createWriteStream } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { MlflowClient } from '../mlflow/client.ts';
import { pathAmong, type StoredFolder, storedFolderAt } from '../mlflow/stored-folder.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { AsgardError } from '../platform/errors.ts';

const MAX_FILES = 10_000;
const MAX_DEPTH = 32;
const MAX_BYTES = 32 * 2 ** 30;
const PARALLEL = 4;

/**
 * Where MLflow gives a version's files.
 * @throws AsgardError NOT_FOUND, also when they lie where the platform cannot get them through MLflow
 */
export async function locateModel(
  mlflow: Pick<MlflowClient, 'getModelVersionLocation' | 'getRun'>,
  { name, version, runId }: Pick<ModelVersion, 'name' | 'version' | 'runId'>,
  signal: AbortSignal,
): Promise<StoredFolder> {
  const uri = await mlflow.getModelVersionLocation(name, version, signal);
  const known = storedFolderAt(uri);
  if (known !== null) return known;
  if (runId !== null) {
    const { artifactUri } = await mlflow.getRun(runId, signal);
    const path = pathAmong(artifactUri, uri);
    if (path !== null) return { of: 'run', id: runId, path };
  }
  const message = `the files of model ${name} version ${version} are at ${uri}, which MLflow does not give out: register it from a run's artifacts`;
  throw new AsgardError('NOT_FOUND', message);
}

interface File {
  /** From the folder's root; empty: the folder is this file. */
  readonly path: string;
  readonly target: string;
}

/**
 * Brings the files of a folder into an empty one, everybody may read them. What is there already when it fails stays.
 * @throws AsgardError NOT_FOUND when there is no file, TOO_LARGE, as `MlflowClient` does; the signal's reason
 */
export async function downloadModel(
  mlflow: Pick<MlflowClient, 'listStored' | 'readStored'>,
  folder: StoredFolder,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  await chmod(target, 0o755);
  const files = await listAll(mlflow, folder, target, signal);
  // A source that is a file lists nothing.
  if (files.length === 0)
    files.push({ path: '', target: join(target, checkedName(folder.path.split('/').at(-1) ?? '')) });
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const room = { bytes: MAX_BYTES };
  const next = async () => {
    for (let file = files.pop(); file !== undefined; file = files.pop()) {
      const body = await mlflow.readStored(folder, file.path, either);
      await pipeline(body, counted(room), createWriteStream(file.target, { mode: 0o644 }), { signal: either });
      await chmod(file.target, 0o644);
    }
  };
  const failed = (error: unknown) => {
    if (!stop.signal.aborted) stop.abort(error);
  };
  // All of them: none writes any more when the caller removes what is there.
  await Promise.all(Array.from({ length: PARALLEL }, () => next().catch(failed)));
  signal.throwIfAborted();
  stop.signal.throwIfAborted();
}

async function listAll(
  mlflow: Pick<MlflowClient, 'listStored'>,
  folder: StoredFolder,
  target: string,
  signal: AbortSignal,
): Promise<File[]> {
  const files: File[] = [];
  let folders = [''];
  for (let depth = 0; folders.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) throw tooLarge(`folders in each other, more than ${MAX_DEPTH} of them`);
    const below: string[] = [];
    for (const path of folders) {
      for (const { path: listed, isFolder } of await mlflow.listStored(folder, path, signal)) {
        const name = checkedName(listed);
        const at = path === '' ? name : `${path}/${name}`;
        if (isFolder) {
          await mkdir(join(target, at));
          await chmod(join(target, at), 0o755);
          below.push(at);
        } else files.push({ path: at, target: join(target, at) });
        if (files.length + below.length > MAX_FILES) throw tooLarge(`more than ${MAX_FILES} files`);
      }
    }
    folders = below;
  }
  return files;
}

/** What a server says is not to lead out of the folder. */
function checkedName(name: string): string {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\\\0]/.test(name)) return name;
  throw new AsgardError('UPSTREAM', `MLflow names a file of the model ${JSON.stringify(name)}`);
}

function counted(room: { bytes: number }): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      room.bytes -= chunk.length;
      if (room.bytes < 0) done(tooLarge(`more than ${MAX_BYTES / 2 ** 30} GiB`));
      else done(null, chunk);
    },
  });
}

function tooLarge(what: string): AsgardError {
  return new AsgardError('TOO_LARGE', `the model cannot be served: it has ${what}`);
}
