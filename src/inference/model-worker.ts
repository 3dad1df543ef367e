import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable, Writable } from 'node:stream';
import { PROJECT_ROOT } from '../config.ts';
import { AsgardError } from '../platform/errors.ts';
import { pythonVariables } from '../python/script-environment.ts';
import { readiness, type WorkerAnswer, type WorkerRequest, workerAnswer } from './protocol.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard', 'model_worker.py');
/** Download and load together. */
const LOAD_LIMIT_MS = 120_000;
const REQUEST_LIMIT_MS = 30_000;
/** Requests that wait for one worker; more are refused, so that a slow model cannot pile up work without end. */
const MAX_WAITING = 64;
const STDERR_TAIL = 4000;

export interface ModelWorkerOptions {
  readonly environmentFolder: string;
  /** `models:/<name>/<version>` */
  readonly modelUri: string;
  readonly trackingUri: string;
  /** A folder of this worker's own. */
  readonly folder: string;
}

type Successful = Extract<WorkerAnswer, { predictions: unknown }>;

interface Waiting {
  readonly resolve: (answer: Successful) => void;
  readonly reject: (error: AsgardError) => void;
  readonly timer: NodeJS.Timeout;
}

/** A Python process with one model loaded, in the environment that the model was trained in. */
export class ModelWorker implements AsyncDisposable {
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #requests: Writable;
  readonly #waiting = new Map<number, Waiting>();
  readonly #loaded = Promise.withResolvers<void>();
  #lastId = 0;
  #isEnded = false;
  #stderr = '';

  /** Starts a worker and waits for its model. @throws AsgardError UNAVAILABLE with the reason when it cannot be loaded */
  static async load(options: ModelWorkerOptions): Promise<ModelWorker> {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const worker = new ModelWorker(options);
    const limit = setTimeout(() => worker.#kill(), LOAD_LIMIT_MS);
    try {
      await worker.#loaded.promise;
      return worker;
    } finally {
      clearTimeout(limit);
    }
  }

  private constructor({ environmentFolder, modelUri, trackingUri, folder }: ModelWorkerOptions) {
    const threads = String(Math.max(1, Math.floor(availableParallelism() / 2)));
    const fds = ['--requests-fd', '3', '--responses-fd', '4'];
    this.#child = spawn(
      join(environmentFolder, 'bin', 'python'),
      ['-I', PROGRAM, ...fds, '--model-uri', modelUri, '--cache-dir', join(folder, 'artifacts')],
      {
        cwd: folder,
        detached: true,
        env: {
          ...pythonVariables(environmentFolder, folder),
          OMP_NUM_THREADS: threads,
          OPENBLAS_NUM_THREADS: threads,
          MKL_NUM_THREADS: threads,
          MLFLOW_TRACKING_URI: trackingUri,
        },
        stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      },
    );
    const [, , , requests, responses] = this.#child.stdio;
    if (!(requests instanceof Writable && responses instanceof Readable))
      throw new Error('no pipes to the model worker');
    this.#requests = requests;
    requests.on('error', () => {});
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_TAIL);
    });
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.#end();
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', end);
    });
    const lines = createInterface({ input: responses });
    lines.once('line', (line) => {
      this.#ready(line);
      lines.on('line', (answer) => this.#settle(answer));
    });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** How many requests wait for an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Asks the model. A worker that does not answer in time is ended: nothing else stops code that runs.
   * @throws AsgardError INVALID_INPUT naming the column or row; UNAVAILABLE, TIMEOUT
   */
  predict(request: WorkerRequest): Promise<Successful> {
    if (this.#isEnded) return Promise.reject(this.#gone());
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(
        new AsgardError('UNAVAILABLE', 'too many predictions are waiting for this model; try again'),
      );
    }
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new AsgardError('TIMEOUT', `the model did not answer within ${REQUEST_LIMIT_MS / 1000} s`));
        this.#kill();
      }, REQUEST_LIMIT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#requests.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  /** Ends the process and all that it started. Requests that wait are answered with UNAVAILABLE. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.ended;
  }

  #ready(line: string): void {
    try {
      const state = readiness.parse(JSON.parse(line));
      if (state.ready) this.#loaded.resolve();
      else this.#loaded.reject(new AsgardError('UNAVAILABLE', `the model could not be loaded: ${state.error}`));
    } catch (cause) {
      this.#loaded.reject(new AsgardError('UNAVAILABLE', 'the model worker spoke nonsense while loading', { cause }));
      this.#kill();
    }
  }

  #settle(line: string): void {
    let answer: WorkerAnswer;
    try {
      answer = workerAnswer.parse(JSON.parse(line));
    } catch {
      // The model's code wrote into the channel: nothing that follows can be trusted.
      this.#kill();
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.id);
    clearTimeout(waiting.timer);
    if (!('error' in answer)) {
      waiting.resolve(answer);
      return;
    }
    const { kind, message, path } = answer.error;
    const text = kind === 'failed' ? `the model refused the inputs: ${message}` : message;
    const issues = [{ path: path ?? ['inputs'], message: text, type: 'value_error' }];
    waiting.reject(new AsgardError('INVALID_INPUT', text, { issues }));
  }

  #end(): void {
    this.#isEnded = true;
    const error = this.#gone();
    this.#loaded.reject(error);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }

  #gone(): AsgardError {
    const lastWords = this.#stderr.trim().split('\n').at(-1) ?? '';
    return new AsgardError(
      'UNAVAILABLE',
      `the model's process ended${lastWords === '' ? '' : `: ${lastWords}`}; try again`,
    );
  }

  #kill(): void {
    if (this.#isEnded || this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // It has just ended by itself.
    }
  }
}
