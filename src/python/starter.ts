import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { PROJECT_ROOT } from '../config.ts';
import type { StartRecord } from './frames.ts';
import type { RunnerSpec } from './launcher.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard', 'starter.py');
/** It works in milliseconds: one that has not answered by then is not to be trusted any more. */
const ANSWER_LIMIT_MS = 5_000;

/** Room for what is shown as the arguments of the runners that are forked from it. */
const BLANKS = ' '.repeat(512);

const said = z.union([
  z.object({ id: z.int(), pid: z.int(), identity: z.string() }),
  z.object({ id: z.int(), launcher: z.int() }),
  z.object({ id: z.int(), refused: z.string() }),
  // A launcher is not trusted to say what it has.
  z.object({ launcher: z.int(), ready: z.literal(true), loaded: z.array(z.string()).catch([]) }),
  z.object({ launcher: z.int(), ended: z.literal(true) }),
]);
type Answer = Extract<z.infer<typeof said>, { id: number }>;

/** What is executed in a sandbox; `python/asgard/starter.py` describes it. */
export type SandboxedProgram = Readonly<Record<string, unknown>>;

/** Is told what becomes of a launcher. */
export interface LauncherEvents {
  /** @param loaded the top-level modules that it has, so it says */
  ready(loaded: readonly string[]): void;
  ended(): void;
}

/**
 * A small trusted Python process that forks runners in milliseconds, and starts launchers apart from the platform. It ends
 * when this process does, or when it is disposed of, and its launchers with it; runners go on. Started when it is first
 * needed, and again when it has ended.
 */
export class Starter implements AsyncDisposable {
  readonly #python: string;
  readonly #folder: string;
  readonly #waiting = new Map<number, (answer: Answer | null) => void>();
  readonly #launchers = new Map<number, LauncherEvents>();
  #child: ChildProcess | undefined;
  #lastId = 0;

  /**
   * @param options.python an interpreter that user code cannot write to
   * @param options.folder an existing folder, its working directory
   */
  constructor(options: { python: string; folder: string }) {
    this.#python = options.python;
    this.#folder = options.folder;
  }

  /**
   * Forks a runner, which handles signals when this resolves. Null when it cannot: the caller starts one as a new process.
   * Should a fork come after that all the same, the spool, which takes one run only, ends the later of the two.
   * @param launcher the number of a launcher that is ready, which forks the script
   */
  async run(spec: RunnerSpec, launcher: number | null): Promise<StartRecord | null> {
    const answer = await this.#ask({ run: spec, launcher });
    return answer !== null && 'pid' in answer ? { pid: answer.pid, identity: answer.identity } : null;
  }

  /** Starts a launcher. @returns its number, or null when it could not be started */
  async launch(program: SandboxedProgram, events: LauncherEvents): Promise<number | null> {
    const answer = await this.#ask({ launch: program });
    if (answer === null || !('launcher' in answer)) return null;
    this.#launchers.set(answer.launcher, events);
    return answer.launcher;
  }

  /** Ends a launcher; what was started from it goes on. */
  end(launcher: number): void {
    this.#child?.stdin?.write(`${JSON.stringify({ end: launcher })}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
    await ended;
  }

  #ask(request: object): Promise<Answer | null> {
    this.#child ??= this.#start();
    const child = this.#child;
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Answer | null>();
    const limit = setTimeout(() => child.kill('SIGKILL'), ANSWER_LIMIT_MS);
    this.#waiting.set(id, (answer) => {
      clearTimeout(limit);
      resolve(answer);
    });
    child.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    return promise;
  }

  #start(): ChildProcess {
    const child = spawn(this.#python, ['-I', '-S', PROGRAM, BLANKS], {
      cwd: this.#folder,
      detached: true,
      env: {},
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdin?.on('error', () => {});
    const end = () => {
      if (this.#child !== child) return;
      this.#child = undefined;
      for (const settle of this.#waiting.values()) settle(null);
      this.#waiting.clear();
      for (const events of this.#launchers.values()) events.ended();
      this.#launchers.clear();
    };
    child.once('exit', end);
    child.once('error', end);
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#take(line));
    // Neither it nor its pipes keep this process alive.
    child.unref();
    return child;
  }

  #take(line: string): void {
    const record = said.parse(JSON.parse(line));
    if ('id' in record) {
      this.#waiting.get(record.id)?.(record);
      this.#waiting.delete(record.id);
      return;
    }
    const events = this.#launchers.get(record.launcher);
    if ('ready' in record) events?.ready(record.loaded);
    else {
      this.#launchers.delete(record.launcher);
      events?.ended();
    }
  }
}
