import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Interface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { PROJECT_ROOT } from '../../config.ts';
import type { RunHandle, RunSpec } from '../../executors/executor.ts';
import type { LocalExecutor } from '../../executors/local.ts';
import { type StartWarm, submitWarmOrCold } from '../../executors/warm-start.ts';
import { boundedLines } from '../../platform/bounded-lines.ts';
import { AsgardError } from '../../platform/errors.ts';
import { parseExactJson } from '../../platform/exact-json.ts';
import { batchAnswer, type ProcessAnswer, type Ready, readiness, type WorkerRequest } from '../protocol.ts';
import { batchText } from './batch-text.ts';
import { Channel } from './channel.ts';
import { lastWords } from './last-words.ts';

const PACKAGES = join(PROJECT_ROOT, 'python');
/** No line of it is an import statement: launchers are not to have these modules ready for scripts. */
const PROGRAM = `__import__("sys").path.append(${JSON.stringify(PACKAGES)})
__import__("asgard.model_process")
__import__("sys").path.remove(${JSON.stringify(PACKAGES)})
__import__("asgard.model_process").model_process.main()
`;
const PROGRAM_NAME = 'model_process.py';
const LOAD_LIMIT_MS = 120_000;
/** Some 600 bytes for each of the most rows that a request may have. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const OUTPUT_LIMIT_BYTES = 1024 * 1024;
const LAST_WORDS_MS = 5_000;

/** Where model processes run. */
export type ModelExecutor = Pick<
  LocalExecutor,
  'place' | 'reserve' | 'submit' | 'frames' | 'forget' | 'workFolderOf' | 'runnerOf'
>;

export interface ModelProcessOptions {
  readonly executor: ModelExecutor;
  /** Absent: every process is started cold. */
  readonly startWarm?: StartWarm | undefined;
  readonly environmentFolder: string;
  /** `models:/<name>/<version>`, for whoever looks at the machine's processes. */
  readonly modelUri: string;
  /** The model's files, which it may only read. */
  readonly modelFolder: string;
  /** Ends the load, not the loaded process. */
  readonly signal: AbortSignal;
}

interface Asked {
  readonly count: number;
  resolve(answers: readonly ProcessAnswer[]): void;
  reject(error: ProcessEndedError): void;
}

/** The process ended before it answered. */
export class ProcessEndedError extends Error {
  /** It was ended for how it behaved. */
  readonly isBlamed: boolean;

  constructor(message: string, isBlamed: boolean) {
    super(message);
    this.name = 'ProcessEndedError';
    this.isBlamed = isBlamed;
  }
}

/**
 * A Python process with one model loaded, in the environment that the model was trained in. It runs as scripts do, apart from
 * the platform: what a model's files hold is code of whoever trained it. It ends with this process.
 */
export class ModelProcess implements AsyncDisposable {
  readonly ready: Ready;
  /** Resolves when the process and all that it started have ended and its files are removed. */
  readonly ended: Promise<void>;
  /** The root of its processes; null when it has ended already. */
  readonly rootPid: number | null;
  readonly #executor: ModelExecutor;
  readonly #handle: RunHandle;
  readonly #socket: Socket;
  #asked: Asked | undefined;
  #isEnded = false;
  #killReason: string | undefined;

  /**
   * Starts a process and waits for its model. When that fails, the process has ended.
   * @throws AsgardError UNAVAILABLE with the reason when it cannot be loaded within 120 s; the signal's reason
   */
  static async start(options: ModelProcessOptions): Promise<ModelProcess> {
    const { executor, startWarm, environmentFolder, modelUri, modelFolder } = options;
    const limit = AbortSignal.timeout(LOAD_LIMIT_MS);
    const signal = AbortSignal.any([options.signal, limit]);
    const handle: RunHandle = { jobId: randomUUID(), attempt: 1, place: executor.place };
    try {
      await executor.reserve(handle);
      await using channel = await Channel.listen(executor.workFolderOf(handle));
      const spec: RunSpec = {
        scriptName: PROGRAM_NAME,
        script: PROGRAM,
        environmentFolder,
        variables: { ASGARD_MODEL: modelFolder, ASGARD_MODEL_URI: modelUri },
        timeoutSeconds: null,
        graceSeconds: 0,
        outputLimitBytes: OUTPUT_LIMIT_BYTES,
        readable: [modelFolder, PACKAGES],
        isSingleThreaded: true,
        isPartOfPlatform: true,
      };
      await submitWarmOrCold(executor, startWarm, handle, spec);
      return await load(executor, handle, channel, signal);
    } catch (error) {
      await executor.forget(handle);
      options.signal.throwIfAborted();
      if (!limit.aborted) throw error;
      const message = `the model could not be loaded: it took longer than ${LOAD_LIMIT_MS / 1000} s`;
      throw new AsgardError('UNAVAILABLE', message, { cause: error });
    }
  }

  /** Of `load` alone. */
  constructor(options: {
    executor: ModelExecutor;
    handle: RunHandle;
    socket: Socket;
    lines: Interface;
    ready: Ready;
    rootPid: number | null;
  }) {
    const { executor, handle, socket, lines, ready, rootPid } = options;
    this.#executor = executor;
    this.#handle = handle;
    this.#socket = socket;
    this.ready = ready;
    this.rootPid = rootPid;
    lines.on('line', (line) => this.#settle(line));
    this.ended = new Promise((resolve) => {
      socket.once('close', () => void this.#end().finally(resolve));
      if (socket.destroyed) void this.#end().finally(resolve);
    });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * An answer for each request of a batch, in its order. One batch at a time.
   * @throws ProcessEndedError
   */
  ask(batch: readonly WorkerRequest[]): Promise<readonly ProcessAnswer[]> {
    // It may have ended while nobody asked: then nothing tells of its end any more.
    if (this.#isEnded) {
      return Promise.reject(new ProcessEndedError(this.#killReason ?? '', this.#killReason !== undefined));
    }
    return new Promise((resolve, reject) => {
      this.#asked = { count: batch.length, resolve, reject };
      void this.#write(batch);
    });
  }

  /** Ends the process and all that it started, at once. */
  kill(reason?: string): void {
    this.#killReason ??= reason;
    this.#socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended;
  }

  /** The process answers when it has read the whole line, so that no other batch comes before its end. */
  async #write(batch: readonly WorkerRequest[]): Promise<void> {
    let isFirst = true;
    for (const piece of batchText(batch)) {
      if (!isFirst) await setImmediate();
      if (this.#socket.destroyed) return;
      this.#socket.write(piece);
      isFirst = false;
    }
    this.#socket.write('\n');
  }

  #settle(line: string): void {
    const asked = this.#asked;
    const answers = batchAnswer.safeParse(parseJson(line)).data;
    if (asked === undefined || answers?.length !== asked.count) {
      // The model's code wrote into the channel: nothing that follows can be trusted.
      this.kill('it wrote something else than answers');
      return;
    }
    this.#asked = undefined;
    asked.resolve(answers);
  }

  async #end(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const asked = this.#asked;
    const isBlamed = this.#killReason !== undefined;
    const reason = this.#killReason ?? (asked === undefined ? '' : await this.#lastWords());
    asked?.reject(new ProcessEndedError(reason, isBlamed));
    await this.#executor.forget(this.#handle);
  }

  #lastWords(): Promise<string> {
    return lastWords(this.#executor, this.#handle, AbortSignal.timeout(LAST_WORDS_MS)).catch(() => '');
  }
}

/** Waits for a process that was started to say that it has its model; or, if it ends instead, for what it has to say. */
async function load(
  executor: ModelExecutor,
  handle: RunHandle,
  channel: Channel,
  signal: AbortSignal,
): Promise<ModelProcess> {
  const over = new AbortController();
  const failed = Promise.withResolvers<never>();
  const fail = (reason: string) =>
    failed.reject(new AsgardError('UNAVAILABLE', `the model could not be loaded: ${reason}`));
  signal.addEventListener('abort', () => failed.reject(signal.reason), { signal: over.signal });
  signal.throwIfAborted();
  let socket: Socket | undefined;
  try {
    void lastWords(executor, handle, over.signal).then(
      (words) => fail(words || 'its process ended'),
      () => {},
    );
    socket = await Promise.race([channel.connection, failed.promise]);
    socket.on('error', () => {});
    let loaded: ModelProcess | undefined;
    const lines = boundedLines(socket, MAX_ANSWER_BYTES, () => {
      const reason = `it wrote an answer of more than ${MAX_ANSWER_BYTES / 2 ** 20} MiB`;
      fail(reason);
      loaded?.kill(reason);
    });
    const first = new Promise<string>((resolve) => lines.once('line', resolve));
    const state = readiness.safeParse(parseJson(await Promise.race([first, failed.promise]))).data;
    if (state === undefined) fail('its process spoke nonsense');
    else if (!state.ready) fail(state.error);
    else {
      const rootPid = await executor.runnerOf(handle);
      loaded = new ModelProcess({ executor, handle, socket, lines, ready: state, rootPid });
      return loaded;
    }
    return await failed.promise;
  } catch (error) {
    socket?.destroy();
    throw error;
  } finally {
    over.abort();
  }
}

/** A prediction may be a whole number beyond 2^53. */
function parseJson(line: string): unknown {
  try {
    return parseExactJson(line);
  } catch {
    return undefined;
  }
}
