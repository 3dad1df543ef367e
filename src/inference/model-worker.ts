import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { PROJECT_ROOT } from '../config.ts';
import { boundedLines } from '../platform/bounded-lines.ts';
import { AsgardError } from '../platform/errors.ts';
import { pythonVariables } from '../python/script-environment.ts';
import type { ModelColumn, ServedModel } from './engine.ts';
import { readiness, type WorkerAnswer, type WorkerRequest, workerAnswer } from './protocol.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard', 'model_worker.py');
/** Download and load together. */
const LOAD_LIMIT_MS = 120_000;
/** For the wait behind other requests, and then once more for the answer. */
const REQUEST_LIMIT_MS = 30_000;
/** Requests that wait for one worker; more are refused, so that a slow model cannot pile up work without end. */
const MAX_WAITING = 64;
/** Some 600 bytes for each of the most rows that a request may have. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const STDERR_TAIL = 4000;

export interface ModelWorkerOptions {
  readonly environmentFolder: string;
  /** `models:/<name>/<version>` */
  readonly modelUri: string;
  readonly trackingUri: string;
  /** Sent with whatever is asked there. */
  readonly trackingToken?: string;
  /** A folder of this worker's own. */
  readonly folder: string;
  /** Ends the load, not the loaded worker. */
  readonly signal?: AbortSignal | undefined;
  /** 30,000 when absent. */
  readonly requestLimitMs?: number;
}

type Successful = Extract<WorkerAnswer, { predictions: unknown }>;

interface Waiting {
  readonly request: WorkerRequest;
  readonly resolve: (answer: Successful) => void;
  readonly reject: (error: AsgardError) => void;
  readonly timer: NodeJS.Timeout;
}

/** The request that the model is at. */
type Current = Omit<Waiting, 'request'> & { readonly id: number };

/** A Python process with one model loaded, in the environment that the model was trained in. */
export class ModelWorker implements ServedModel {
  readonly engine = 'python';
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #requests: Writable;
  readonly #requestLimitMs: number;
  /** Behind the current one, the oldest first. They are held here, so that one that gave up costs the model nothing. */
  readonly #queue: Waiting[] = [];
  readonly #loaded = Promise.withResolvers<void>();
  #current: Current | undefined;
  #lastId = 0;
  #isEnded = false;
  #columns: readonly ModelColumn[] | null = null;
  #memoryBytes = 0;
  #killReason: string | undefined;
  #stderr = '';

  /**
   * Starts a worker and waits for its model. When that fails, the process has ended.
   * @throws AsgardError UNAVAILABLE with the reason when it cannot be loaded, or the signal ended it
   */
  static async load(options: ModelWorkerOptions): Promise<ModelWorker> {
    const { folder, signal } = options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const worker = new ModelWorker(options);
    const stop = () => worker.#kill('its load was called off');
    const limit = setTimeout(() => worker.#kill(`it was not loaded within ${LOAD_LIMIT_MS / 1000} s`), LOAD_LIMIT_MS);
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    try {
      await worker.#loaded.promise;
      return worker;
    } catch (error) {
      await worker[Symbol.asyncDispose]();
      throw error;
    } finally {
      clearTimeout(limit);
      signal?.removeEventListener('abort', stop);
    }
  }

  private constructor(options: ModelWorkerOptions) {
    const { environmentFolder, modelUri, trackingUri, trackingToken, folder } = options;
    const { requestLimitMs = REQUEST_LIMIT_MS } = options;
    this.#requestLimitMs = requestLimitMs;
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
          // Its client would hide for minutes why the files cannot be had. Whoever asks for the prediction may ask again.
          MLFLOW_HTTP_REQUEST_MAX_RETRIES: '0',
          MLFLOW_TRACKING_TOKEN: trackingToken,
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
        // What the model had started may still run.
        this.#killGroup();
        this.#end();
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', end);
    });
    const lines = boundedLines(responses, MAX_ANSWER_BYTES, () => {
      this.#kill(`it wrote an answer of more than ${MAX_ANSWER_BYTES / 2 ** 20} MiB`);
    });
    lines.once('line', (line) => {
      this.#ready(line);
      lines.on('line', (answer) => this.#settle(answer));
    });
  }

  get columns(): readonly ModelColumn[] | null {
    return this.#columns;
  }

  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Whether it has ended, and not for how it behaved: it was killed from outside, crashed, or its place was needed. */
  get isLost(): boolean {
    return this.#isEnded && this.#killReason === undefined;
  }

  /** How many requests wait for an answer. */
  get waiting(): number {
    return this.#queue.length + (this.#current === undefined ? 0 : 1);
  }

  /**
   * Asks the model, once it has answered those that asked before. A request that waits for its turn longer than the limit
   * (30 s) gives up alone. A worker that does not answer within the limit from then on is ended, since nothing else stops
   * code that runs; those that wait behind are answered with UNAVAILABLE.
   * @throws AsgardError INVALID_INPUT naming the column or row; UNAVAILABLE, TIMEOUT
   */
  predict(request: WorkerRequest): Promise<Successful> {
    if (this.#isEnded) return Promise.reject(this.#gone());
    if (this.waiting >= MAX_WAITING) {
      return Promise.reject(
        new AsgardError('UNAVAILABLE', 'too many predictions are waiting for this model; try again'),
      );
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        const seconds = this.#requestLimitMs / 1000;
        reject(new AsgardError('TIMEOUT', `the model was busy with other requests for ${seconds} s; try again`));
      }, this.#requestLimitMs);
      const waiting = { request, resolve, reject, timer };
      this.#queue.push(waiting);
      this.#sendNext();
    });
  }

  /** Ends the process and all that it started. Requests that wait are answered with UNAVAILABLE. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.ended;
  }

  #sendNext(): void {
    if (this.#current !== undefined) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    const { request, resolve, reject } = next;
    clearTimeout(next.timer);
    this.#lastId += 1;
    const id = this.#lastId;
    const timer = setTimeout(() => {
      const message = `the model did not answer within ${this.#requestLimitMs / 1000} s`;
      reject(new AsgardError('TIMEOUT', message));
      this.#kill(message);
    }, this.#requestLimitMs);
    this.#current = { id, resolve, reject, timer };
    this.#requests.write(`${JSON.stringify({ id, ...request })}\n`);
  }

  #ready(line: string): void {
    try {
      const state = readiness.parse(JSON.parse(line));
      if (state.ready) {
        this.#columns = state.columns;
        this.#memoryBytes = state.memory_bytes;
        this.#loaded.resolve();
      } else this.#loaded.reject(new AsgardError('UNAVAILABLE', `the model could not be loaded: ${state.error}`));
    } catch (cause) {
      this.#loaded.reject(new AsgardError('UNAVAILABLE', 'the model worker spoke nonsense while loading', { cause }));
      this.#kill();
    }
  }

  #settle(line: string): void {
    const current = this.#current;
    const answer = parseAnswer(line);
    if (current === undefined || answer?.id !== current.id) {
      // The model's code wrote into the channel: nothing that follows can be trusted.
      this.#kill('it wrote something else than answers');
      return;
    }
    clearTimeout(current.timer);
    this.#current = undefined;
    this.#sendNext();
    if (!('error' in answer)) {
      current.resolve(answer);
      return;
    }
    const { kind, message, path } = answer.error;
    const text = kind === 'failed' ? `the model refused the inputs: ${message}` : message;
    const issues = [{ path: path ?? ['inputs'], message: text, type: 'value_error' }];
    current.reject(new AsgardError('INVALID_INPUT', text, { issues }));
  }

  #end(): void {
    this.#isEnded = true;
    const error = this.#gone();
    this.#loaded.reject(error);
    for (const waiting of [this.#current, ...this.#queue]) {
      clearTimeout(waiting?.timer);
      waiting?.reject(error);
    }
    this.#current = undefined;
    this.#queue.length = 0;
  }

  #gone(): AsgardError {
    const reason = this.#killReason ?? this.#stderr.trim().split('\n').at(-1) ?? '';
    return new AsgardError('UNAVAILABLE', `the model's process ended${reason === '' ? '' : `: ${reason}`}; try again`);
  }

  #kill(reason?: string): void {
    if (this.#isEnded) return;
    this.#killReason ??= reason;
    this.#killGroup();
  }

  #killGroup(): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // All of it has ended by itself.
    }
  }
}

function parseAnswer(line: string): WorkerAnswer | undefined {
  try {
    return workerAnswer.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
