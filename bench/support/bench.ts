import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import type { Figure } from './figures.ts';

/** One claim about Asgard beside its peers. */
export interface Claim {
  /** What `npm run bench -- NAME` takes. */
  readonly name: string;
  readonly title: string;
  /** Measures both sides. @throws when a side does not do what is measured: there is no figure of a failure */
  measure(bench: Bench): Promise<Measured>;
}

/** What a claim came to. A note says what a figure alone would hide. */
export interface Measured {
  readonly figures: readonly Figure[];
  readonly notes: readonly string[];
}

/** What a claim is given. Disposing ends everything that it started and removes its files. */
export class Bench implements AsyncDisposable {
  /** Small numbers that only prove that the benchmark works. */
  readonly isQuick: boolean;
  /** Aborts when the run is interrupted. */
  readonly signal: AbortSignal;
  /** Made by the set-up; what peers need is installed there too. */
  readonly toolchain: string;
  /** A folder of this claim's own. Its path is short: peers put sockets into it. */
  readonly folder: string;
  readonly #stack = new AsyncDisposableStack();
  readonly #starting = new Set<Promise<unknown>>();
  #count = 0;

  static async start(options: { isQuick: boolean; signal: AbortSignal }): Promise<Bench> {
    return new Bench(options, await mkdtemp(join(tmpdir(), 'bench-')));
  }

  private constructor({ isQuick, signal }: { isQuick: boolean; signal: AbortSignal }, folder: string) {
    this.isQuick = isQuick;
    this.signal = signal;
    this.folder = folder;
    this.toolchain = parseConfig(inheritedEnvironment(), false).toolchain;
    this.#stack.defer(() => rm(folder, { recursive: true, force: true }));
  }

  /** Ends what was started with the claim, also when the run is interrupted while it starts. */
  async own<T extends AsyncDisposable>(starting: Promise<T>): Promise<T> {
    const owned = starting.then((resource) => this.#stack.use(resource));
    this.#starting.add(owned);
    try {
      return await owned;
    } finally {
      this.#starting.delete(owned);
    }
  }

  /** A new empty folder under `folder`. */
  async newFolder(name: string): Promise<string> {
    this.#count += 1;
    const path = join(this.folder, `${name}${this.#count}`);
    await mkdir(path);
    return path;
  }

  /** A new folder in which scripts can write too, under whichever account they run. */
  async meetingPlace(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'bench-meeting-'));
    this.#stack.defer(() => rm(path, { recursive: true, force: true }));
    await chmod(path, 0o777);
    return path;
  }

  /** The quick or the full number of something. */
  size(quick: number, full: number): number {
    return this.isQuick ? quick : full;
  }

  /** Says what is being done, on standard error. */
  say(text: string): void {
    process.stderr.write(`  ${text}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#starting);
    await this.#stack.disposeAsync();
  }
}

/**
 * Measures subjects in turn, round by round, so that whatever else the machine does meets all of them alike. One round
 * before the others warms each of them up and is not counted.
 * @returns for each subject its rounds
 */
export async function alternately<T>(
  rounds: number,
  subjects: readonly (() => Promise<T>)[],
  signal: AbortSignal,
): Promise<T[][]> {
  const results = subjects.map((): T[] => []);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, subject] of subjects.entries()) {
      signal.throwIfAborted();
      const result = await subject();
      if (round > 0) results[index]?.push(result);
    }
  }
  return results;
}
