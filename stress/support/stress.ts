import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DataFolder } from '../../test/support/data-folder.ts';
import { processesOf } from '../../test/support/processes.ts';
import { Random } from './random.ts';

/** What a platform takes at most to end in order, and then some. */
const END_LIMIT_MS = 12_000;
const POLL_MS = 50;

/** What a proof is given. Disposing ends whatever still runs on its data folders, in order first, and removes its files. */
export class Stress implements AsyncDisposable {
  readonly random: Random;
  /** Aborts when the run is interrupted. */
  readonly signal: AbortSignal;
  /** Says what is being done. */
  readonly say: (text: string) => void;
  readonly #stack = new AsyncDisposableStack();

  constructor(options: { seed: number; signal?: AbortSignal; say?: (text: string) => void }) {
    this.random = new Random(options.seed);
    this.signal = options.signal ?? new AbortController().signal;
    this.say = options.say ?? (() => {});
  }

  /** A new data folder. */
  async folder(): Promise<DataFolder> {
    this.signal.throwIfAborted();
    const folder = this.#stack.use(await DataFolder.make());
    this.#stack.defer(() => endAll(folder.parent));
    return folder;
  }

  /** A new folder in which scripts can write too, under whichever account they run. */
  async meetingPlace(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'asgard-meeting-'));
    this.#stack.defer(() => rm(path, { recursive: true, force: true }));
    await chmod(path, 0o777);
    return path;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** Asks all that belongs to a folder to end, and waits for a while. */
async function endAll(folder: string): Promise<void> {
  for (const { pid } of processesOf(folder)) {
    try {
      process.kill(pid, 'SIGTERM');
      process.kill(pid, 'SIGCONT');
    } catch {
      // It has just ended by itself.
    }
  }
  for (const deadline = Date.now() + END_LIMIT_MS; Date.now() < deadline; await delay(POLL_MS)) {
    if (processesOf(folder).length === 0) return;
  }
}
