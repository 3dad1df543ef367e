import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { PROJECT_ROOT } from '../config.ts';
import { boundedLines } from '../platform/bounded-lines.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';
import { pythonVariables } from '../python/script-environment.ts';
import { type BridgeMessage, bridgeMessage, readiness } from './protocol.ts';
import { type FeatureStoreSettings, featureStoreYaml } from './settings.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard_feast', 'bridge.py');
/** pyiceberg's import takes 1 s; a machine that is just starting may take many times as long. */
const START_LIMIT_MS = 60_000;
/** For the bridge to end by itself: what it is committing then is done or not done, whichever way it ends. */
const END_GRACE_MS = 300;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const OUTPUT_TAIL = 4000;
const LAST_LINES = 5;

export interface BridgeProcessOptions {
  /** An interpreter that has Feast and pyiceberg. */
  readonly python: string;
  readonly settings: FeatureStoreSettings;
  /** The bridge's working directory and HOME; made when it is missing. */
  readonly folder: string;
  /** Beside the machine's own that Python gets: credentials of an S3 warehouse. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly onMessage: (message: BridgeMessage) => void;
}

/** One process of `python/asgard_feast/bridge.py`. */
export class BridgeProcess implements AsyncDisposable {
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #requests: Writable;
  readonly #onMessage: BridgeProcessOptions['onMessage'];
  readonly #ready = Promise.withResolvers<void>();
  #isEnded = false;
  #hasAnswered = false;
  #killReason: string | undefined;
  #output = '';

  /**
   * Starts a process; resolves when it takes requests.
   * @throws AsgardError UNAVAILABLE with the last lines that it wrote when it does not; then it has ended
   */
  static async start(options: BridgeProcessOptions): Promise<BridgeProcess> {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const bridge = new BridgeProcess(options);
    const limit = setTimeout(() => bridge.kill(`it was not ready within ${START_LIMIT_MS / 1000} s`), START_LIMIT_MS);
    try {
      await bridge.#ready.promise;
      return bridge;
    } catch (error) {
      bridge.kill();
      await bridge.ended;
      throw error;
    } finally {
      clearTimeout(limit);
    }
  }

  private constructor({ python, settings, folder, variables, onMessage }: BridgeProcessOptions) {
    this.#onMessage = onMessage;
    const fds = ['--requests-fd', '3', '--responses-fd', '4'];
    // -O: typeguard, which would compile Feast's modules anew at each import, is off then: 2 s rather than 6.
    this.#child = spawn(python, ['-I', '-O', PROGRAM, ...fds], {
      cwd: folder,
      // A session of its own: Ctrl-C at a terminal is the platform's to handle.
      detached: true,
      env: { ...pythonVariables(join(python, '..', '..'), folder), ...variables, FEAST_USAGE: 'False' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    });
    const [, , , requests, responses] = this.#child.stdio;
    if (!(requests instanceof Writable && responses instanceof Readable)) throw new Error('no pipes to the bridge');
    this.#requests = requests;
    requests.on('error', () => {});
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_TAIL);
      });
    }
    this.ended = new Promise((resolve) => {
      const end = (error?: Error) => {
        this.#isEnded = true;
        this.#killReason ??= error?.message;
        this.#ready.reject(this.gone());
        resolve();
      };
      // What it had started may hold its output open.
      this.#child.once('exit', (_code, signal) => {
        if (signal !== null) this.#killReason ??= `it was killed (${signal})`;
        this.#killGroup();
      });
      this.#child.once('close', () => end());
      this.#child.once('error', end);
    });
    const lines = boundedLines(responses, MAX_ANSWER_BYTES, () => {
      this.kill(`it wrote an answer of more than ${MAX_ANSWER_BYTES / 2 ** 20} MiB`);
    });
    lines.once('line', (line) => {
      this.#readiness(line);
      lines.on('line', (message) => this.#take(message));
    });
    this.send({ store: featureStoreYaml(settings), folder });
  }

  /** Whether it has answered a request. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  send(message: object): void {
    this.#requests.write(`${JSON.stringify(message)}\n`);
  }

  /** Ends it at once, with what it has started. */
  kill(reason?: string): void {
    if (this.#isEnded) return;
    this.#killReason ??= reason;
    this.#killGroup();
  }

  /** Why it has ended, for whoever waited for an answer. One that ended by itself said it last; the lines before follow. */
  gone(): AsgardError {
    const lines = this.#killReason === undefined ? this.#lastLines() : [];
    const reason = this.#killReason ?? lines.at(-1);
    const text = `the feature store's process ended${reason === undefined ? '' : `: ${reason}`}; try again`;
    return new AsgardError('UNAVAILABLE', lines.length > 1 ? [text, ...lines].join('\n') : text);
  }

  /** Lets it end by itself, and kills it when it does not soon. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#killReason ??= 'the platform ends';
    this.#requests.end();
    const limit = setTimeout(() => this.#killGroup(), END_GRACE_MS);
    await this.ended;
    clearTimeout(limit);
  }

  #lastLines(): string[] {
    const lines = this.#output.split('\n').filter((line) => line.trim() !== '');
    return lines.slice(-LAST_LINES);
  }

  #readiness(line: string): void {
    try {
      const state = readiness.parse(JSON.parse(line));
      if (state.ready) this.#ready.resolve();
      else this.#killReason ??= state.error;
    } catch (error) {
      this.kill(`it spoke nonsense while starting (${messageOf(error)})`);
    }
  }

  #take(line: string): void {
    try {
      this.#onMessage(bridgeMessage.parse(JSON.parse(line)));
      this.#hasAnswered = true;
    } catch (error) {
      // Nothing that follows can be trusted.
      this.kill(`it wrote something else than answers (${messageOf(error)})`);
    }
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
