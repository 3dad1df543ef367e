import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { PROJECT_ROOT } from '../config.ts';
import type { StartRecord } from './frames.ts';
import { pythonVariables } from './script-environment.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard', 'launcher.py');
/** A fork takes some milliseconds: a launcher that has not answered by then is not to be trusted any more. */
const ANSWER_LIMIT_MS = 5_000;

/** What the guide's scripts import, and what gives libraries their threads back after a fork. */
const ALWAYS = [
  'mlflow',
  'mlflow.pyfunc',
  'mlflow.sklearn',
  'numpy',
  'pandas',
  'sklearn.ensemble',
  'sklearn.linear_model',
  'sklearn.metrics',
  'sklearn.model_selection',
  'sklearn.pipeline',
  'sklearn.preprocessing',
  'threadpoolctl',
];

/** A process that has one thread can be forked: libraries are kept from starting more of them while they are imported. */
export const ONE_THREAD = {
  OMP_NUM_THREADS: '1',
  OPENBLAS_NUM_THREADS: '1',
  MKL_NUM_THREADS: '1',
  NUMEXPR_NUM_THREADS: '1',
  // Of the allocator that pyarrow carries.
  JE_ARROW_MALLOC_CONF: 'background_thread:false',
};

/**
 * What a launcher executes.
 * @param modules what it imports beside what all do, unless it would be noticed by scripts that do not import it
 */
export function launcherCommand(environmentFolder: string, program: string, modules: readonly string[]): string[] {
  return [join(environmentFolder, 'bin', 'python'), '-u', program, ...ALWAYS, '--', ...modules];
}

/** The environment of a launcher: no secret is in it. */
export function launcherVariables(environmentFolder: string, folder: string): Record<string, string> {
  return { ...pythonVariables(environmentFolder, folder), ...ONE_THREAD };
}

/** A process that has imported what scripts use. */
export interface WarmProcess extends AsyncDisposable {
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** The top-level modules that it has; null until it has imported everything, and when it cannot fork any more. */
  readonly loaded: ReadonlySet<string> | null;
  /**
   * Starts a runner, which handles signals when this resolves. Null when it cannot: the caller starts one cold. Should a
   * fork come after that all the same, the spool, which takes one run only, ends the later of the two.
   */
  launch(spec: RunnerSpec): Promise<StartRecord | null>;
}

const answer = z.union([
  z.object({ ready: z.literal(true), loaded: z.array(z.string()) }),
  z.object({ id: z.int(), pid: z.int(), identity: z.string() }),
  z.object({ id: z.int(), refused: z.string() }),
]);

/** What a runner is told; `python/asgard/runner.py` describes it. */
export type RunnerSpec = Readonly<Record<string, unknown>>;

/**
 * Where scripts cannot be set apart: a warm Python process of one environment, which forks runners. It ends when this
 * process does, or when it is disposed of; runners go on. It knows nothing but the modules of its environment.
 */
export class Launcher implements WarmProcess {
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (started: StartRecord | null) => void>();
  #lastId = 0;
  #loaded: ReadonlySet<string> | null = null;

  /**
   * @param folder an existing folder of its own: its working directory and home
   * @param modules what it imports beside what all do
   */
  constructor(environmentFolder: string, folder: string, modules: readonly string[]) {
    const [python = '', ...words] = launcherCommand(environmentFolder, PROGRAM, modules);
    this.#child = spawn(python, words, {
      cwd: folder,
      detached: true,
      env: launcherVariables(environmentFolder, folder),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child.stdin?.on('error', () => {});
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.#loaded = null;
        for (const settle of this.#waiting.values()) settle(null);
        this.#waiting.clear();
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', end);
    });
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line));
    }
    // Neither it nor its pipes keep this process alive.
    this.#child.unref();
  }

  get loaded(): ReadonlySet<string> | null {
    return this.#loaded;
  }

  launch(spec: RunnerSpec): Promise<StartRecord | null> {
    if (this.#loaded === null) return Promise.resolve(null);
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve } = Promise.withResolvers<StartRecord | null>();
    const limit = setTimeout(() => void this[Symbol.asyncDispose](), ANSWER_LIMIT_MS);
    this.#waiting.set(id, (started) => {
      clearTimeout(limit);
      resolve(started);
    });
    this.#child.stdin?.write(`${JSON.stringify({ id, spec })}\n`);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#loaded = null;
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  #take(line: string): void {
    const parsed = answer.safeParse(parseJson(line));
    // A module that prints while it is imported says nothing to us.
    if (!parsed.success) return;
    const record = parsed.data;
    if ('ready' in record) {
      this.#loaded = new Set(record.loaded);
      return;
    }
    this.#waiting.get(record.id)?.('pid' in record ? { pid: record.pid, identity: record.identity } : null);
    this.#waiting.delete(record.id);
    // It has a thread that a fork would lose, and will have it the next time.
    if ('refused' in record) void this[Symbol.asyncDispose]();
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
