import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ConfinedLauncher } from './confined-launcher.ts';
import { EnvironmentHolds } from './environment-holds.ts';
import type { StartRecord } from './frames.ts';
import { Launcher, type RunnerSpec, type WarmProcess } from './launcher.ts';
import type { Starter } from './starter.ts';

/** A launcher that nobody used for so long ends: it holds some 200 MB. */
const IDLE_MS = 30 * 60_000;

/** Variables that Python and libraries read while they are imported: a warm process has read them already. */
const READ_AT_IMPORT =
  /^(PYTHON|LANG$|LC_|OMP_|KMP_|GOMP_|OPENBLAS_|MKL_|BLIS_|NVPL_|NUMEXPR_|NUMBA_|VECLIB_|CUDA_|NVIDIA_|TORCH|PYTORCH_|TF_|XLA_|JAX_|KERAS_|HF_|TRANSFORMERS_|ARROW_|JE_|MALLOC_|GLIBC_|LD_|MPL|SKLEARN_|SCIPY_|PANDAS_|MLFLOW_(?!TRACKING_|EXPERIMENT_|HTTP_)|GIT_PYTHON_|JOBLIB_|LOKY_)/;

interface Entry {
  readonly launcher: WarmProcess;
  usedAt: number;
}

/** What sets launchers apart from the platform. */
export interface Apart {
  readonly starter: Starter;
  /** Folders that they do not see. */
  readonly hidden: readonly string[];
}

/**
 * The launchers of this process, one for an environment, at most `limit` of them: the one that was not used for the longest
 * time makes room. A first run of an environment finds none, starts one and is itself started cold.
 */
export class Launchers implements AsyncDisposable {
  readonly #folder: string;
  readonly #limit: number;
  readonly #apart: Apart | undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #holds = new EnvironmentHolds();
  readonly #idle: NodeJS.Timeout;

  /**
   * @param options.limit 0: every run is started cold
   * @param options.apart absent: they are not set apart from the platform, as scripts are not
   */
  constructor(options: { folder: string; limit: number; apart?: Apart | undefined }) {
    this.#folder = options.folder;
    this.#limit = options.limit;
    this.#apart = options.apart;
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
    const release = await this.#holds.hold(environmentFolder);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const folder = await mkdtemp(join(this.#folder, `${basename(environmentFolder)}-`));
    await mkdir(join(folder, 'tmp'));
    if (this.#entries.has(environmentFolder)) {
      release();
      return rm(folder, { recursive: true, force: true });
    }
    const longestUnused = [...this.#entries].toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [other] of longestUnused.slice(0, this.#entries.size - this.#limit + 1)) this.#end(other);
    const launcher =
      this.#apart === undefined
        ? new Launcher(environmentFolder, folder)
        : new ConfinedLauncher({ ...this.#apart, environmentFolder, folder });
    const entry = { launcher, usedAt: performance.now() };
    this.#entries.set(environmentFolder, entry);
    void launcher.ended.then(() => {
      release();
      if (this.#entries.get(environmentFolder) === entry) this.#entries.delete(environmentFolder);
      return rm(folder, { recursive: true, force: true });
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
