import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ConfinedLauncher } from './confined-launcher.ts';
import { EnvironmentHolds } from './environment-holds.ts';
import type { StartRecord } from './frames.ts';
import { Launcher, type RunnerSpec, type WarmProcess } from './launcher.ts';
import { Preloads } from './preloads.ts';
import type { Starter } from './starter.ts';

/** A launcher that nobody used for so long ends: it holds some 200 MB. */
const IDLE_MS = 30 * 60_000;

/** Environments of which it is remembered what their scripts import. */
const MAX_ENVIRONMENTS = 100;

/**
 * Variables that Python and libraries read while they are imported: a warm process has read them already. PYTHONPATH is
 * heeded all the same (`python/asgard/warm_script.py`).
 */
const READ_AT_IMPORT =
  /^(PYTHON(?!PATH$)|LANG$|LC_|OMP_|KMP_|GOMP_|OPENBLAS_|MKL_|BLIS_|NVPL_|NUMEXPR_|NUMBA_|VECLIB_|CUDA_|NVIDIA_|TORCH|PYTORCH_|TF_|XLA_|JAX_|KERAS_|HF_|TRANSFORMERS_|ARROW_|JE_|MALLOC_|GLIBC_|LD_|MPL|SKLEARN_|SCIPY_|PANDAS_|MLFLOW_(?!TRACKING_|EXPERIMENT_|HTTP_)|GIT_PYTHON_|JOBLIB_|LOKY_)/;

/** A launcher that lacks what scripts import is replaced when nothing was started from it for so long. */
const QUIET_MS = 5_000;

interface Entry {
  readonly launcher: WarmProcess;
  /** What it was to import beside what all do. */
  readonly modules: readonly string[];
  usedAt: number;
  replacement?: NodeJS.Timeout;
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
  /** By the folder of their environment. */
  readonly #preloads = new Map<string, Preloads>();
  readonly #quietMs: number;
  readonly #holds = new EnvironmentHolds();
  readonly #idleMs: number;
  readonly #idle: NodeJS.Timeout;

  /**
   * @param options.limit 0: every run is started cold
   * @param options.apart absent: they are not set apart from the platform, as scripts are not
   * @param options.quietMs a launcher that lacks what scripts import is replaced when it had nothing to do for so long
   * @param options.idleMs one that nobody used for so long ends
   */
  constructor(options: {
    folder: string;
    limit: number;
    apart?: Apart | undefined;
    quietMs?: number;
    idleMs?: number;
  }) {
    this.#quietMs = options.quietMs ?? QUIET_MS;
    this.#idleMs = options.idleMs ?? IDLE_MS;
    this.#folder = options.folder;
    this.#limit = options.limit;
    this.#apart = options.apart;
    this.#idle = setInterval(() => this.#endIdle(), this.#idleMs / 10).unref();
  }

  /**
   * Starts a runner from a warm process.
   * @param variables the job's own
   * @param imports modules that its script imports
   * @returns null when there is no such process yet, or a fork would not be what a new process is: start it cold
   */
  async launch(
    environmentFolder: string,
    variables: Readonly<Record<string, string>>,
    spec: RunnerSpec,
    imports: readonly string[] = [],
  ): Promise<StartRecord | null> {
    if (!this.#isPossible) return null;
    const preloads = this.#preloadsOf(environmentFolder);
    preloads.saw(imports);
    if (Object.keys(variables).some((name) => READ_AT_IMPORT.test(name))) return null;
    const entry = this.#entries.get(environmentFolder);
    if (entry === undefined) {
      await this.#start(environmentFolder);
      return null;
    }
    entry.usedAt = performance.now();
    const { launcher, modules } = entry;
    if (launcher.loaded !== null && preloads.isBehind(modules, launcher.loaded)) {
      this.#replaceWhenQuiet(environmentFolder, entry);
    }
    return launcher.launch(spec);
  }

  /** Whether there is a warm process of an environment. */
  isWarm(environmentFolder: string): boolean {
    return (this.#entries.get(environmentFolder)?.launcher.loaded ?? null) !== null;
  }

  /**
   * Starts a launcher before anybody needs it, if there is room for one more.
   * @param imports modules that scripts will import
   */
  async warmUp(environmentFolder: string, imports: readonly string[] = []): Promise<void> {
    this.#preloadsOf(environmentFolder).saw(imports);
    if (this.#isPossible && this.#entries.size < this.#limit) await this.#start(environmentFolder);
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
    const preloads = this.#preloadsOf(environmentFolder);
    const { modules } = preloads;
    const launcher =
      this.#apart === undefined
        ? new Launcher(environmentFolder, folder, modules)
        : new ConfinedLauncher({ ...this.#apart, environmentFolder, folder, modules });
    const entry: Entry = { launcher, modules, usedAt: performance.now() };
    this.#entries.set(environmentFolder, entry);
    void launcher.ended.then(() => {
      release();
      if (this.#entries.get(environmentFolder) === entry) {
        // Nobody ended it. Without what only some scripts import the next one may live.
        preloads.exclude(modules);
        this.#entries.delete(environmentFolder);
      }
      return rm(folder, { recursive: true, force: true });
    });
  }

  get #isPossible(): boolean {
    return this.#limit > 0 && process.platform === 'linux';
  }

  #preloadsOf(environmentFolder: string): Preloads {
    const known = this.#preloads.get(environmentFolder) ?? new Preloads();
    // The one that was asked for last is at the end.
    this.#preloads.delete(environmentFolder);
    this.#preloads.set(environmentFolder, known);
    for (const other of [...this.#preloads.keys()].slice(0, -MAX_ENVIRONMENTS)) this.#preloads.delete(other);
    return known;
  }

  /** The one that is behind ends first: there are never more than the limit. */
  #replaceWhenQuiet(environmentFolder: string, entry: Entry): void {
    clearTimeout(entry.replacement);
    const replace = () => {
      if (this.#entries.get(environmentFolder) !== entry) return;
      this.#end(environmentFolder);
      // Where it cannot be started now, the next run of the environment starts it.
      this.#start(environmentFolder).catch(() => {});
    };
    entry.replacement = setTimeout(replace, this.#quietMs).unref();
  }

  #endIdle(): void {
    const before = performance.now() - this.#idleMs;
    for (const [folder, { usedAt }] of this.#entries) if (usedAt < before) this.#end(folder);
  }

  #end(environmentFolder: string): void {
    void this.#entries.get(environmentFolder)?.launcher[Symbol.asyncDispose]();
    this.#entries.delete(environmentFolder);
  }
}
