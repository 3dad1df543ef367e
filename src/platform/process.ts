import { type ChildProcess as NodeChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { AsgardError } from './errors.ts';
import { LineSplitter } from './lines.ts';

const TAIL_BYTES = 64 * 1024;
const GROUP_POLL_MS = 20;
/** What the rest of a group gets once its leader has ended, and what the pipes get once all are killed. */
const AFTER_LEADER_MS = 1_000;

export interface ProcessOptions {
  /** The program (a path, or a name looked up on the PATH of `env`) and its arguments. No shell reads them. */
  readonly argv: readonly [string, ...string[]];
  /** The whole environment of the child: nothing is inherited. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string | undefined;
  /** Its own session and process group, which `terminate` ends as a whole. Default true; otherwise only the process itself is ended. */
  readonly detached?: boolean | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Called for each line without its line ending. A line longer than 64 KiB comes in several parts. */
  readonly onLine?: ((stream: 'stdout' | 'stderr', line: string) => void) | undefined;
  /** An open file that takes stdout and stderr in place of pipes. Then there are no lines and no `tail`. The caller closes it. */
  readonly outputFd?: number | undefined;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child process and everything it started. Disposing ends the whole group: TERM, and KILL after 5 seconds. */
export class ChildProcess implements AsyncDisposable {
  readonly pid: number;
  /** Settles on `close`: when the process has ended and its output has been read to the end. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly #child: NodeChildProcess;
  readonly #isGroup: boolean;
  #tail = Buffer.alloc(0);
  #isOver = false;
  /** No member of the group is left, so its number may belong to somebody else from now on. */
  #isGone = false;

  /**
   * Resolves when the program runs.
   * @throws the system's error (`code` is `ENOENT`, `EACCES`, …) when it cannot be started
   */
  static async start(options: ProcessOptions): Promise<ChildProcess> {
    const [program, ...args] = options.argv;
    const output = options.outputFd ?? 'pipe';
    const isGroup = options.detached ?? true;
    const child = spawn(program, args, {
      env: options.env,
      detached: isGroup,
      shell: false,
      stdio: ['ignore', output, output],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    await once(child, 'spawn');
    if (child.pid === undefined) throw new Error(`${program} started without a process id`);
    return new ChildProcess(child, child.pid, isGroup, options.onLine);
  }

  private constructor(child: NodeChildProcess, pid: number, isGroup: boolean, onLine: ProcessOptions['onLine']) {
    this.#child = child;
    this.#isGroup = isGroup;
    this.pid = pid;
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    child.once('exit', () => {
      this.#isOver = true;
      this.#isGone = !this.#signal(0);
    });
    this.#read('stdout', onLine);
    this.#read('stderr', onLine);
  }

  /** The last 64 KiB of stdout and stderr together, for error messages. */
  get tail(): string {
    return this.#tail.toString();
  }

  /** Sends a signal to the whole group. @returns whether there was anything left to signal */
  kill(signal: NodeJS.Signals): boolean {
    return this.#signal(signal);
  }

  /**
   * Sends `signal`, waits up to `graceMs` for the whole group to end, then kills what is left of it.
   * Safe to call twice and after the end.
   */
  async terminate({ signal = 'SIGTERM', graceMs }: { signal?: NodeJS.Signals; graceMs: number }): Promise<ProcessExit> {
    if (this.#signal(signal)) {
      let deadline = Date.now() + graceMs;
      let sawLeaderEnd = false;
      while (Date.now() < deadline && this.#signal(0)) {
        await Promise.race([this.exited, delay(GROUP_POLL_MS)]);
        if (this.#isOver) {
          if (!sawLeaderEnd) deadline = Math.min(deadline, Date.now() + AFTER_LEADER_MS);
          sawLeaderEnd = true;
          if (this.#signal(0)) await delay(GROUP_POLL_MS);
        }
      }
      this.#signal('SIGKILL');
      if (this.#isOver) this.#isGone = true;
    }
    // A process that left the group may hold the pipes open for ever: they are closed on our side.
    const closed = new AbortController();
    void this.exited.then(() => closed.abort());
    await delay(AFTER_LEADER_MS, undefined, { signal: closed.signal }).catch(() => undefined);
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate({ graceMs: 5_000 });
  }

  /** @returns whether there was anything to signal */
  #signal(signal: NodeJS.Signals | 0): boolean {
    if (this.#isGone || (this.#isOver && !this.#isGroup)) return false;
    try {
      return process.kill(this.#isGroup ? -this.pid : this.pid, signal);
    } catch {
      // ESRCH: all have ended. Darwin says EPERM when only zombies are left.
      if (this.#isOver) this.#isGone = true;
      return false;
    }
  }

  #read(stream: 'stdout' | 'stderr', onLine: ProcessOptions['onLine']): void {
    const lines = onLine === undefined ? undefined : new LineSplitter((line) => onLine(stream, line));
    this.#child[stream]?.on('data', (chunk: Buffer) => {
      this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES);
      lines?.write(chunk);
    });
    this.#child[stream]?.once('close', () => lines?.end());
  }
}

/** Below those that systems give to whoever names none. */
const [FIRST_PORT, LAST_PORT] = [10_000, 32_000];
const MAX_PORTS_TRIED = 1_000;

/**
 * A TCP port of 127.0.0.1 that was free a moment ago, and that the system gives to nobody who asks for any: another process
 * takes it before the caller does only by its number.
 */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < MAX_PORTS_TRIED; tried += 1) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (await isPortFree(port)) return port;
  }
  throw new AsgardError('UNAVAILABLE', `no port from ${FIRST_PORT} to ${LAST_PORT} of 127.0.0.1 is free`);
}

/** Whether nothing listens on a port of 127.0.0.1. */
export function isPortFree(port: string | number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(Number(port), '127.0.0.1', () => server.close(() => resolve(true)));
  return promise;
}
