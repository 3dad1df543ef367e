import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { EnvironmentHolds } from './environment-holds.ts';
import type { StartRecord } from './frames.ts';
import { Launcher, type RunnerSpec } from './launcher.ts';

/** A launcher that nobody used for so long ends: it holds some 200 MB. */
const IDLE_MS = 30 * 60_000;

/** Variables that Python and libraries read while they are imported: a warm process has read them already. */
const READ_AT_IMPORT =
  /^(PYTHON|LANG$|LC_|OMP_|KMP_|GOMP_|OPENBLAS_|MKL_|BLIS_|NVPL_|NUMEXPR_|NUMBA_|VECLIB_|CUDA_|NVIDIA_|TORCH|PYTORCH_|TF_|XLA_|JAX_|KERAS_|HF_|TRANSFORMERS_|ARROW_|JE_|MALLOC_|GLIBC_|LD_|MPL|SKLEARN_|SCIPY_|PANDAS_|MLFLOW_(?!TRACKING_|EXPERIMENT_|HTTP_)|GIT_PYTHON_|JOBLIB_|LOKY_)/;

interface Entry {
  readonly launcher: Launcher;
  usedAt: number;
}

/**
 * The launchers of this process, one for an environment, at most `limit` of them: the one that was not used for the longest
 * time makes room. A first run of an environment finds none, starts one and is itself started cold.
 */
export class Launchers implements AsyncDisposable {
  readonly #folder: string;
  readonly #limit: number;
  readonly #entries = new Map<string, Entry>();
  readonly #holds = new EnvironmentHolds();
  readonly #idle: NodeJS.Timeout;

  /** @param options.limit 0: every run is started cold */
  constructor(options: { folder: string; limit: number }) {
    this.#folder = options.folder;
    this.#limit = options.limit;
    this.#idle = setInterval(() => this.#endIdle(), IDLE_MS / 10).unref();
  }

  /**
   * Starts a runner from a warm process.
   * @param variables the job's own
   * @returns null when there is no such process yet, or a fork would not be what a new process is: start it cold
   */
  async launch(
    environmentFolder: string,
    variables: Readonly<Record<string, string>>,
    spec: RunnerSpec,
  ): Promise<StartRecord | null> {
    if (this.#limit === 0 || process.platform !== 'linux') return null;
    if (Object.keys(variables).some((name) => READ_AT_IMPORT.test(name))) return null;
    const entry = this.#entries.get(environmentFolder);
    if (entry === undefined) {
      await this.#start(environmentFolder);
      return null;
    }
    entry.usedAt = performance.now();
    return entry.launcher.launch(spec);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#idle);
    await Promise.all([...this.#entries.values()].map(({ launcher }) => launcher[Symbol.asyncDispose]()));
  }

  async #start(environmentFolder: string): Promise<void> {
    const folder = join(this.#folder, basename(environmentFolder));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const release = await this.#holds.hold(environmentFolder);
    if (this.#entries.has(environmentFolder)) return release();
    const longestUnused = [...this.#entries].toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [other] of longestUnused.slice(0, this.#entries.size - this.#limit + 1)) this.#end(other);
    const entry = { launcher: new Launcher(environmentFolder, folder), usedAt: performance.now() };
    this.#entries.set(environmentFolder, entry);
    void entry.launcher.ended.then(() => {
      release();
      if (this.#entries.get(environmentFolder) === entry) this.#entries.delete(environmentFolder);
    });
  }

  #endIdle(): void {
    for (const [folder, { usedAt }] of this.#entries) if (performance.now() - usedAt > IDLE_MS) this.#end(folder);
  }

  #end(environmentFolder: string): void {
    void this.#entries.get(environmentFolder)?.launcher[Symbol.asyncDispose]();
    this.#entries.delete(environmentFolder);
  }
}
