import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { PROJECT_ROOT } from '../config.ts';
import { identityOfProcess } from '../platform/process-identity.ts';
import type { Frame } from '../python/frames.ts';
import { pythonVariables } from '../python/script-environment.ts';
import { type Executor, type RunHandle, RunnerLostError, type RunSpec } from './executor.ts';
import { killOrphans, RUN_VARIABLE, runMark } from './orphans.ts';
import { readSpool } from './spool.ts';

const RUNNER = join(PROJECT_ROOT, 'python', 'asgard', 'runner.py');

const RUNNER_START_MS = 30_000;
const FORGET_TRIES = 100;
const FORGET_PAUSE_MS = 20;

/** What finds a runner again: a pid alone may have passed to another process. */
const runnerRecord = z.object({ pid: z.int(), identity: z.string() });

type RunnerRecord = z.infer<typeof runnerRecord>;

/**
 * Runs scripts on this machine: one runner process for each, in a session of its own, which writes what happens to
 * `<folder>/<job>/<attempt>/spool`.
 */
export class LocalExecutor implements Executor {
  readonly #folder: string;
  readonly #python: string;
  /** Runners that were started here: their files may be removed under them. */
  readonly #started = new Map<string, RunnerRecord>();
  /** Executions whose exit frame was read here: their runners saw to it that nothing is left. */
  readonly #exited = new Set<string>();

  /**
   * @param options.folder where jobs' files go
   * @param options.python an interpreter that user code cannot write to, for the runner, which needs no package
   */
  constructor(options: { folder: string; python: string }) {
    this.#folder = options.folder;
    this.#python = options.python;
  }

  async submit(handle: RunHandle, spec: RunSpec): Promise<void> {
    const folder = this.#folderOf(handle);
    const work = join(folder, 'work');
    const home = join(folder, 'home');
    await mkdir(work, { recursive: true, mode: 0o700 });
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeFile(join(work, spec.scriptName), spec.script);
    const spool = join(folder, 'spool');
    await writeFile(spool, '', { mode: 0o600 });
    await using errors = await open(join(folder, 'runner.log'), 'a');
    const runner = spawn(this.#python, ['-I', '-S', RUNNER], {
      cwd: folder,
      detached: true,
      env: {},
      stdio: ['pipe', 'pipe', errors.fd],
    });
    await once(runner, 'spawn');
    const { stdin, stdout } = runner;
    if (stdin === null || stdout === null) throw new Error('no pipes to the runner');
    // A signal that came before the runner handles it would end it without a word in the spool.
    await once(stdout, 'data', { signal: AbortSignal.timeout(RUNNER_START_MS) });
    stdout.destroy();
    const record = { pid: runner.pid ?? 0, identity: identityOfProcess(runner.pid ?? 0) ?? '' };
    this.#started.set(folder, record);
    await remember(record, join(folder, 'runner.json'));
    // Its end is seen in the spool; this process is not kept alive for it.
    runner.unref();
    // By standard input: what a script is given (its token, its variables) is in no file and no argument list.
    stdin.on('error', () => {});
    stdin.end(
      JSON.stringify({
        argv: [join(spec.environmentFolder, 'bin', 'python'), '-u', spec.scriptName],
        env: {
          ...pythonVariables(spec.environmentFolder, home),
          ...spec.variables,
          [RUN_VARIABLE]: runMark(handle),
        },
        cwd: work,
        spool,
        timeout_seconds: spec.timeoutSeconds,
        grace_seconds: spec.graceSeconds,
      }),
    );
  }

  async *frames(handle: RunHandle, signal: AbortSignal): AsyncGenerator<Frame[], void> {
    const spool = join(this.#folderOf(handle), 'spool');
    for await (const frames of readSpool(spool, async () => (await this.#runnerOf(handle)) !== null, signal)) {
      const last = frames.at(-1);
      const isOver = last !== undefined && 'exit' in last;
      if (isOver) this.#exited.add(this.#folderOf(handle));
      yield frames;
      if (isOver) return;
    }
    signal.throwIfAborted();
    throw new RunnerLostError(handle);
  }

  async cancel(handle: RunHandle): Promise<void> {
    const pid = await this.#runnerOf(handle);
    if (pid !== null) askToEnd(pid);
  }

  async forget(handle: RunHandle): Promise<void> {
    // A second SIGTERM makes the runner kill at once; SIGKILL is for one that does not react, and takes the script with it.
    for (let tries = 1; tries <= FORGET_TRIES; tries += 1) {
      const pid = await this.#runnerOf(handle);
      if (pid === null) break;
      if (tries < FORGET_TRIES) askToEnd(pid);
      else signalProcess(pid, 'SIGKILL');
      await delay(FORGET_PAUSE_MS);
    }
    const folder = this.#folderOf(handle);
    this.#started.delete(folder);
    if (!this.#exited.delete(folder)) await killOrphans(handle);
    await rm(join(this.#folder, handle.jobId), { recursive: true, force: true });
  }

  #folderOf(handle: RunHandle): string {
    return join(this.#folder, handle.jobId, String(handle.attempt));
  }

  /** The runner's pid while it lives. */
  async #runnerOf(handle: RunHandle): Promise<number | null> {
    const folder = this.#folderOf(handle);
    const record = this.#started.get(folder) ?? (await recalled(join(folder, 'runner.json')));
    return record !== null && identityOfProcess(record.pid) === record.identity ? record.pid : null;
  }
}

async function remember(record: RunnerRecord, path: string): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** A record that cannot be read is none: the script could have written it. */
async function recalled(path: string): Promise<RunnerRecord | null> {
  try {
    return runnerRecord.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return null;
  }
}

/** SIGCONT: a runner that its script has stopped would not see the other signal. */
function askToEnd(pid: number): void {
  signalProcess(pid, 'SIGTERM');
  signalProcess(pid, 'SIGCONT');
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended between the look and the signal.
  }
}
