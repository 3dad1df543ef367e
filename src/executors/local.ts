import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PROJECT_ROOT } from '../config.ts';
import { isSystemError } from '../platform/errors.ts';
import { machineName } from '../platform/machine.ts';
import { identityOfProcess } from '../platform/process-identity.ts';
import { environmentLockPath } from '../python/environment-holds.ts';
import { type Frame, parseFrame, type StartRecord } from '../python/frames.ts';
import { ONE_THREAD, type RunnerSpec } from '../python/launcher.ts';
import type { Launchers } from '../python/launchers.ts';
import { pythonVariables } from '../python/script-environment.ts';
import type { Starter } from '../python/starter.ts';
import { type Executor, type RunHandle, RunnerLostError, type RunSpec } from './executor.ts';
import { preloadsOf, writeFeatureStoreFiles } from './feature-store.ts';
import type { Isolation } from './isolation.ts';
import { killOrphans, RUN_VARIABLE, runMark } from './orphans.ts';
import { readSpool } from './spool.ts';

const RUNNER = join(PROJECT_ROOT, 'python', 'asgard', 'runner.py');

const RUNNER_START_MS = 30_000;
const FORGET_TRIES = 100;
const FORGET_PAUSE_MS = 20;
/** What a run has to itself: its working directory, its HOME, and what it sees as /tmp. */
const OWN_FOLDERS = ['work', 'home', 'tmp'];
/** The first frame of a spool is shorter. */
const MAX_START_FRAME_BYTES = 1024;
/** As `python/asgard/segments.py` has it. */
const RESERVE_BYTES = 64 * 1024;

/**
 * Runs scripts on this machine: one runner process for each, in a session of its own, forked from a warm process of the
 * script's environment where there is one, which writes what happens to `<place>/<job>/<attempt>/spool` and files beside it. The runner needs
 * nothing of this process: another one goes on with the spool.
 */
export class LocalExecutor implements Executor {
  readonly machine = machineName();
  readonly place: string;
  readonly placeId: string;
  readonly #python: string;
  readonly #launchers: Launchers | undefined;
  readonly #starter: Starter | undefined;
  readonly #level: Isolation['level'];
  readonly #hidden: readonly string[];
  readonly #readable: readonly string[];
  readonly #processLimit: number | undefined;
  /** Runners that were started here: their files may be removed under them. */
  readonly #started = new Map<string, StartRecord>();
  /** Executions whose exit frame was read here: their runners saw to it that nothing is left. */
  readonly #exited = new Set<string>();

  /**
   * @param options.folder where jobs' files go
   * @param options.placeId tells it from others, wherever it is; absent: its path does
   * @param options.python an interpreter that user code cannot write to, for a runner that is started cold
   * @param options.launchers absent: every run is started cold. The caller disposes of them.
   * @param options.starter forks runners that are started cold; absent: each is a new process
   * @param options.isolation how far scripts are set apart; absent: not at all
   * @param options.hidden folders that scripts which are set apart do not see, apart from what is their own in them
   * @param options.readable folders that they may read all the same
   * @param options.processLimit processes and threads that each of them may have at once; absent: as many as there can be
   */
  constructor(options: {
    folder: string;
    placeId?: string | undefined;
    python: string;
    launchers?: Launchers | undefined;
    starter?: Starter | undefined;
    isolation?: Isolation['level'] | undefined;
    hidden?: readonly string[] | undefined;
    readable?: readonly string[] | undefined;
    processLimit?: number | undefined;
  }) {
    this.place = options.folder;
    this.placeId = options.placeId ?? options.folder;
    this.#python = options.python;
    this.#launchers = options.launchers;
    this.#starter = options.starter;
    this.#level = options.isolation ?? 'none';
    this.#hidden = options.hidden ?? [options.folder];
    this.#readable = options.readable ?? [];
    this.#processLimit = options.processLimit;
  }

  async handles(): Promise<RunHandle[]> {
    const { place } = this;
    const names = async (folder: string) => (await readdir(folder).catch(() => [])).toSorted();
    const found: RunHandle[] = [];
    for (const jobId of await names(place)) {
      for (const number of await names(join(place, jobId))) found.push({ jobId, attempt: Number(number), place });
    }
    return found.filter(({ attempt }) => Number.isInteger(attempt));
  }

  async reserve(handle: RunHandle): Promise<void> {
    const folder = folderOf(handle);
    for (const name of OWN_FOLDERS) await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
    // Blocks that the runner frees for the exit frame when the disk is full by then; when it is full now, this fails.
    await writeFile(`${spoolOf(handle)}.reserve`, Buffer.alloc(RESERVE_BYTES), { mode: 0o600 });
    await writeFile(spoolOf(handle), '', { mode: 0o600, flag: 'a' });
  }

  async stateOf(handle: RunHandle): Promise<'reserved' | 'started' | 'gone'> {
    const spool = await stat(spoolOf(handle)).catch(() => null);
    if (spool === null) return 'gone';
    return spool.size > 0 ? 'started' : 'reserved';
  }

  async warmUp(environmentFolder: string, script = ''): Promise<void> {
    await this.#launchers?.warmUp(environmentFolder, preloadsOf(script, ''));
  }

  async submit(handle: RunHandle, spec: RunSpec): Promise<void> {
    const runnerSpec = await this.#prepare(handle, spec);
    const warm = await this.#launchers?.launch(
      spec.environmentFolder,
      spec.variables,
      runnerSpec,
      preloadsOf(spec.script, spec.scriptName),
    );
    const folder = folderOf(handle);
    const record = warm ?? (await this.#starter?.run(runnerSpec, null)) ?? (await this.#startCold(folder, runnerSpec));
    this.#started.set(folder, record);
  }

  async submitWarm(handle: RunHandle, spec: RunSpec): Promise<boolean> {
    if (this.#launchers?.isWarm(spec.environmentFolder) !== true) return false;
    const runnerSpec = await this.#prepare(handle, spec);
    return (await this.#launchers.launch(spec.environmentFolder, spec.variables, runnerSpec)) !== null;
  }

  /** Writes the files of a run. @returns what its runner is told */
  async #prepare(handle: RunHandle, spec: RunSpec): Promise<RunnerSpec> {
    const folder = folderOf(handle);
    const work = this.workFolderOf(handle);
    await writeFile(join(work, spec.scriptName), spec.script);
    for (const [name, content] of Object.entries(spec.files ?? {})) await writeFile(join(work, name), content);
    const { featureStoreYaml: yaml } = spec;
    const features = yaml === undefined ? undefined : await writeFeatureStoreFiles(folder, yaml);
    return {
      argv: [join(spec.environmentFolder, 'bin', 'python'), '-u', spec.scriptName],
      env: {
        ...pythonVariables(spec.environmentFolder, join(folder, 'home')),
        // As launchers have it too: with one thread, what is forked from one is what a new process would be.
        ...(spec.isSingleThreaded === true ? { ...ONE_THREAD, LOKY_MAX_CPU_COUNT: '1' } : {}),
        ...spec.variables,
        ...features?.variables,
        [RUN_VARIABLE]: runMark(handle),
      },
      cwd: work,
      spool: spoolOf(handle),
      timeout_seconds: spec.timeoutSeconds,
      grace_seconds: spec.graceSeconds,
      output_limit_bytes: spec.outputLimitBytes,
      environment_lock: environmentLockPath(spec.environmentFolder),
      ...(spec.isPartOfPlatform === true ? { ends_with: ownRecord(), yields: false } : {}),
      ...this.#confinement(folder, [spec.environmentFolder, ...(features?.readable ?? []), ...(spec.readable ?? [])]),
    };
  }

  /** `python/asgard/confinement.py` describes it. Without a user of its own a script's processes cannot be told from the account's. */
  #confinement(folder: string, readable: readonly string[]) {
    if (this.#level === 'none') return {};
    const [work, home, tmp] = OWN_FOLDERS.map((name) => join(folder, name));
    const confinement = {
      level: this.#level,
      hidden: this.#hidden,
      readable: [...readable, ...this.#readable],
      writable: [work, home],
      tmp,
    };
    return { confinement, process_limit: this.#processLimit };
  }

  async #startCold(folder: string, spec: RunnerSpec): Promise<StartRecord> {
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
    const pid = runner.pid ?? 0;
    const record = { pid, identity: identityOfProcess(pid) ?? '' };
    // Its end is seen in the spool; this process is not kept alive for it.
    runner.unref();
    // By standard input: what a script is given (its token, its variables) is in no file and no argument list.
    stdin.on('error', () => {});
    stdin.end(JSON.stringify(spec));
    return record;
  }

  async *frames(handle: RunHandle, after: number, signal: AbortSignal): AsyncGenerator<Frame[], void> {
    const isWriting = async () => (await this.runnerOf(handle)) !== null;
    for await (const frames of readSpool(spoolOf(handle), after, isWriting, signal)) {
      const last = frames.at(-1);
      const isOver = last !== undefined && 'exit' in last;
      if (isOver) this.#exited.add(folderOf(handle));
      yield frames;
      if (isOver) return;
    }
    signal.throwIfAborted();
    throw new RunnerLostError(handle);
  }

  async cancel(handle: RunHandle, reason?: string): Promise<void> {
    if (reason !== undefined) {
      await mkdir(folderOf(handle), { recursive: true, mode: 0o700 });
      await writeFile(cancelPathOf(handle), reason, { mode: 0o600 });
    }
    const pid = await this.runnerOf(handle);
    if (pid !== null) askToEnd(pid);
  }

  async cancelReason(handle: RunHandle): Promise<string | null> {
    return readFile(cancelPathOf(handle), 'utf8').catch((error: unknown) => {
      if (isSystemError(error, 'ENOENT')) return null;
      throw error;
    });
  }

  async forget(handle: RunHandle): Promise<void> {
    // A second SIGTERM makes the runner kill at once; SIGKILL is for one that does not react, and takes the script with it.
    for (let tries = 1; tries <= FORGET_TRIES; tries += 1) {
      const pid = await this.runnerOf(handle);
      if (pid === null) break;
      if (tries < FORGET_TRIES) askToEnd(pid);
      else signalProcess(pid, 'SIGKILL');
      await delay(FORGET_PAUSE_MS);
    }
    const folder = folderOf(handle);
    this.#started.delete(folder);
    if (!this.#exited.delete(folder)) await killOrphans(handle, this.#ownFolderOf(handle));
    // What was killed may be at its last write still, or hold a mount.
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    // Another attempt of the job may have files beside these.
    await rmdir(join(handle.place, handle.jobId)).catch(() => {});
  }

  /**
   * A folder of the user that the run alone has; null where it has none. In namespaces a run shares its user with the warm process
   * that it was forked from, and nothing of it outlives its first process.
   */
  #ownFolderOf(handle: RunHandle): string | null {
    return this.#level === 'account' ? this.workFolderOf(handle) : null;
  }

  /** The folder that its script works in. */
  workFolderOf(handle: RunHandle): string {
    return join(folderOf(handle), 'work');
  }

  /** The runner's pid while it lives: the root of all processes of an execution. */
  async runnerOf(handle: RunHandle): Promise<number | null> {
    const record = this.#started.get(folderOf(handle)) ?? (await startRecordOf(spoolOf(handle)));
    return record !== null && identityOfProcess(record.pid) === record.identity ? record.pid : null;
  }
}

function ownRecord(): StartRecord {
  return { pid: process.pid, identity: identityOfProcess(process.pid) ?? '' };
}

function folderOf(handle: RunHandle): string {
  return join(handle.place, handle.jobId, String(handle.attempt));
}

function cancelPathOf(handle: RunHandle): string {
  return join(folderOf(handle), 'cancelled');
}

function spoolOf(handle: RunHandle): string {
  return join(folderOf(handle), 'spool');
}

/** Who writes a spool, as its first frame says. A frame that cannot be read names nobody: the script could have written it. */
async function startRecordOf(spool: string): Promise<StartRecord | null> {
  try {
    await using file = await open(spool, 'r');
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_START_FRAME_BYTES));
    const frame = parseFrame(buffer.toString('utf8', 0, bytesRead).split('\n', 1)[0] ?? '');
    return 'start' in frame ? frame.start : null;
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
