import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { MlflowClient } from '../mlflow/client.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { diskUse } from '../platform/disk-use.ts';
import { FileLock } from '../platform/file-lock.ts';
import { downloadModel, locateModel } from './model-download.ts';

const KEY = /^[0-9a-f]{32}$/;
const PARTIAL = '.partial-';

/** What names a version's files: a name and number may be given again after a model was deleted. */
type ModelFilesKey = Pick<ModelVersion, 'name' | 'version' | 'createdAt' | 'runId'>;

interface ModelFilesOptions {
  readonly mlflow: Pick<MlflowClient, 'getModelVersionLocation' | 'getRun' | 'listStored' | 'readStored'>;
  /** Where they are kept. Any number of threads may share it. */
  readonly folder: string;
  /** What they may take on the disk together; those that are held stay, also beyond it. */
  readonly limitBytes: number;
}

/** A version's files, which stay until this is disposed of. */
interface HeldModelFiles extends Disposable {
  /** A folder that everybody may read; where the version is one file, it holds that file alone. */
  readonly path: string;
}

/**
 * Files of model versions on this machine's disk, fetched once through MLflow's API and found by later calls, also after a
 * restart. Beyond the limit those go that were not used for the longest time.
 */
export class ModelFiles {
  readonly #options: ModelFilesOptions;

  constructor(options: ModelFilesOptions) {
    this.#options = options;
  }

  /**
   * The files of a version. Whoever asks while they are being fetched waits for that.
   * @throws AsgardError NOT_FOUND when MLflow has no such files, TOO_LARGE, as `MlflowClient` does; the signal's reason
   */
  async hold(version: ModelFilesKey, signal: AbortSignal): Promise<HeldModelFiles> {
    const { folder } = this.#options;
    const key = keyOf(version);
    const path = join(folder, key);
    for (;;) {
      const lock = await FileLock.acquire(this.#lockPath(key), 'shared', { signal });
      if (await exists(path)) {
        const now = new Date();
        await utimes(path, now, now);
        return { path, [Symbol.dispose]: () => lock[Symbol.dispose]() };
      }
      lock[Symbol.dispose]();
      await this.#fetch(version, path, signal);
    }
  }

  /** Removes what fetches that were cut off by the end of an earlier process left. Before the first is begun. */
  async removeLeftovers(): Promise<void> {
    const { folder } = this.#options;
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith(PARTIAL));
    await Promise.all(names.map((name) => rm(join(folder, name), { recursive: true, force: true })));
  }

  async #fetch(version: ModelFilesKey, path: string, signal: AbortSignal): Promise<void> {
    const { folder, mlflow } = this.#options;
    // Not the lock that says who holds them: it would wait for those who found them.
    using _alone = await FileLock.acquire(this.#lockPath(`${keyOf(version)}.fetch`), 'exclusive', { signal });
    if (await exists(path)) return;
    const partial = join(folder, `${PARTIAL}${randomUUID()}`);
    try {
      await mkdir(partial, { mode: 0o755 });
      await downloadModel(mlflow, await locateModel(mlflow, version, signal), partial, signal);
      await this.#makeRoom(partial);
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    }
  }

  /** For what was just fetched. */
  async #makeRoom(fetched: string): Promise<void> {
    const { folder, limitBytes } = this.#options;
    const names = (await readdir(folder)).filter((name) => KEY.test(name));
    const paths = [fetched, ...names.map((name) => join(folder, name))];
    const sizes = await diskUse(paths);
    let excess = sizes.reduce((sum, size) => sum + size, 0) - limitBytes;
    if (excess <= 0) return;
    const kept = await Promise.all(
      names.map(async (name, index) => {
        const { mtimeMs } = await stat(join(folder, name)).catch(() => ({ mtimeMs: 0 }));
        return { name, mtimeMs, sizeBytes: sizes[index + 1] ?? 0 };
      }),
    );
    for (const { name, sizeBytes } of kept.toSorted((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (excess <= 0) return;
      using alone = await FileLock.tryAcquire(this.#lockPath(name), 'exclusive');
      if (alone === null) continue;
      // By its name it is whole or not there, whenever this is killed.
      const partial = join(folder, `${PARTIAL}${randomUUID()}`);
      await rename(join(folder, name), partial);
      await rm(partial, { recursive: true, force: true });
      excess -= sizeBytes;
    }
  }

  #lockPath(key: string): string {
    return join(this.#options.folder, 'locks', key);
  }
}

function keyOf({ name, version, createdAt }: ModelFilesKey): string {
  const identity = JSON.stringify([name, version, createdAt.getTime()]);
  return createHash('sha256').update(identity).digest('hex').slice(0, 32);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
