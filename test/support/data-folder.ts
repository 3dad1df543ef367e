import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPlatform } from '../../src/cli/start-platform.ts';
import { AsgardClient } from '../../src/client/client.ts';
import { inheritedEnvironment, PROJECT_ROOT, parseConfig } from '../../src/config.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { poll } from './poll.ts';
import { type FoundProcess, killIfThere, processesOf } from './processes.ts';
import { quietPort } from './quiet-port.ts';

export const MAIN = join(PROJECT_ROOT, 'src', 'main.ts');
export const { toolchain: TOOLCHAIN } = parseConfig(inheritedEnvironment(), false);
/** The first start on a machine makes the base environment. */
const READY_LIMIT_MS = 240_000;

/** How a process ended. */
interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly seconds: number;
}

/** A program that ran to its end. */
export interface Finished extends Ending {
  readonly stdout: string;
  readonly stderr: string;
}

/** A platform in a process of its own, on a test's data folder. Disposing ends it and its client. */
export interface TestPlatform extends AsyncDisposable {
  readonly url: string;
  readonly mlflowUrl: string;
  readonly pid: number;
  readonly client: AsgardClient;
  /** The lines of its log so far. */
  readonly log: readonly string[];
  /** Resolves with how the process ended, whoever ended it; the time counts from this call. */
  readonly ended: () => Promise<Ending>;
  /** Sends a signal to the platform's process alone and waits for its end. */
  readonly end: (signal: NodeJS.Signals) => Promise<Ending>;
  /** Sends both signals, the second before anything has come of the first, and waits for its end. They must differ, or are one. */
  readonly endTwice: (first: NodeJS.Signals, second: NodeJS.Signals) => Promise<Ending>;
  /** Resolves when `/readyz` says so. */
  readonly ready: () => Promise<void>;
}

/**
 * An empty data folder of a test's own, whose unique name finds every process that belongs to it. Disposing kills what a
 * failed test left running there, and removes it.
 */
export class DataFolder implements AsyncDisposable {
  /** The folder that holds it: what else a test needs may go here. */
  readonly parent: string;
  /** What `ASGARD_HOME` is. It does not exist yet. */
  readonly path: string;
  #hasStarted = false;

  static async make(): Promise<DataFolder> {
    // The real path: what /proc shows of a working directory has no links in it.
    return new DataFolder(await realpath(await mkdtemp(join(tmpdir(), 'asgard-life-'))));
  }

  private constructor(parent: string) {
    this.parent = parent;
    this.path = join(parent, 'home');
  }

  /** The environment of a platform here: free ports, and the Python environments that all tests share. */
  variables(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    const { PYTHONDONTWRITEBYTECODE: _slow, ...inherited } = inheritedEnvironment();
    return {
      ...inherited,
      ASGARD_HOME: this.path,
      ASGARD_TOOLCHAIN: TOOLCHAIN,
      ASGARD_ENVIRONMENTS: join(TOOLCHAIN, 'environments'),
      PORT: '0',
      MLFLOW_PORT: '0',
      // Beside the data folder, which need not be one that can be written.
      FEAST_REPO_PATH: join(this.parent, 'feast_repo'),
      ASGARD_LOG_FORMAT: 'json',
      ...changes,
    };
  }

  /** Starts a platform here and resolves when it listens. A later one listens where the first did, as nobody takes that meanwhile. */
  async start(changes: NodeJS.ProcessEnv = {}): Promise<TestPlatform> {
    const ports = async () => ({ PORT: String(await quietPort()), MLFLOW_PORT: String(await quietPort()) });
    const first = this.#hasStarted ? {} : await ports();
    this.#hasStarted = true;
    const log: string[] = [];
    const platform = await startPlatform(this.variables({ ...first, ...changes }), (line) => void log.push(line));
    const { ASGARD_API_KEY: apiKey } = changes;
    const client = new AsgardClient({ url: platform.url, ...(apiKey === undefined ? {} : { apiKey }) });
    const ended = () => endingOf(platform.exited);
    return {
      ...platform,
      client,
      log,
      ended,
      end: async (signal) => {
        process.kill(platform.pid, signal);
        return ended();
      },
      endTwice: async (first, second) => {
        // It may have ended by the time that somebody who waits for a sign of the first gets to the second.
        for (const signal of ['SIGSTOP', first, second, 'SIGCONT'] as const) process.kill(platform.pid, signal);
        return ended();
      },
      ready: () => untilReady(platform.url, log),
      [Symbol.asyncDispose]: async () => {
        await client[Symbol.asyncDispose]();
        await platform[Symbol.asyncDispose]();
      },
    };
  }

  /** Runs a program with this folder's variables to its end; by default the platform. @throws when it does not end */
  async run(changes: NodeJS.ProcessEnv = {}, args: readonly string[] = [MAIN], limitMs = 100_000): Promise<Finished> {
    const output = { stdout: '', stderr: '' };
    await using child = await ChildProcess.start({
      argv: [process.execPath, ...args],
      env: this.variables(changes),
      onLine: (stream, line) => {
        output[stream] += `${line}\n`;
      },
    });
    const limit = setTimeout(() => void child.terminate({ graceMs: 10_000 }), limitMs);
    const ending = await endingOf(child.exited);
    clearTimeout(limit);
    if (ending.seconds * 1000 >= limitMs) throw new Error(`it did not end within ${limitMs} ms:\n${child.tail}`);
    return { ...ending, ...output };
  }

  /** What runs with this folder in its arguments, environment or working directory. */
  processes(): FoundProcess[] {
    return processesOf(this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Again and again: one that was just being started is not among those that were found before.
    const killAll = () => {
      const left = processesOf(this.parent);
      for (const { pid } of left) killIfThere(pid);
      return left;
    };
    await poll(killAll, (left) => left.length === 0);
    await rm(this.parent, { recursive: true, force: true });
  }
}

async function endingOf(exited: Promise<{ code: number | null; signal: string | null }>): Promise<Ending> {
  const started = performance.now();
  const ending = await exited;
  return { ...ending, seconds: (performance.now() - started) / 1000 };
}

async function untilReady(url: string, log: readonly string[]): Promise<void> {
  const look = async () => {
    const response = await fetch(`${url}/readyz`);
    return { isReady: response.ok, answer: await response.text(), log: log.slice(-10) };
  };
  await poll(look, ({ isReady }) => isReady, READY_LIMIT_MS);
}
