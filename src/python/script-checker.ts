import type { Logger } from '../platform/logger.ts';
import { CheckerProcess, type ScriptError } from './checker-process.ts';

/** Two, so that one script that keeps the compiler busy does not hold up the others. */
const PROCESSES = 2;
/** A script of everyday size takes about a millisecond. */
const JUDGE_LIMIT_MS = 2000;
const WAIT_LIMIT_MS = 500;
const MAX_WAITING = 64;

interface Slot {
  process?: CheckerProcess;
}

/**
 * Says whether Python can compile a script, in processes that stay warm and never run any of it. What cannot be judged
 * soon counts as right: its run will tell.
 */
export class ScriptChecker implements AsyncDisposable {
  readonly #python: string;
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #judgeLimitMs: number;
  readonly #waitLimitMs: number;
  readonly #slots: readonly Slot[] = Array.from({ length: PROCESSES }, () => ({}));
  /** The one that was used last is at the end, and used next: it has a warm process. */
  readonly #free: Slot[] = [...this.#slots];
  readonly #waiting: ((slot: Slot | undefined) => void)[] = [];
  #isDisposed = false;

  /**
   * Starts nothing.
   * @param options.python an interpreter of the version that jobs run with, which no user code can write to
   * @param options.folder where its processes run
   * @param options.judgeLimitMs how long one script may take, with the start of a process; 2,000 when absent
   * @param options.waitLimitMs how long a script waits while all processes are busy; 500 when absent
   */
  constructor(options: {
    python: string;
    folder: string;
    logger: Logger;
    judgeLimitMs?: number;
    waitLimitMs?: number;
  }) {
    this.#folder = options.folder;
    this.#python = options.python;
    this.#logger = options.logger;
    this.#judgeLimitMs = options.judgeLimitMs ?? JUDGE_LIMIT_MS;
    this.#waitLimitMs = options.waitLimitMs ?? WAIT_LIMIT_MS;
  }

  /** Starts the first process, which otherwise the first script would wait for. */
  warmUp(): void {
    const slot = this.#free.at(-1);
    if (slot !== undefined && !this.#isDisposed) slot.process ??= this.#start();
  }

  /** What is wrong with a script, or null. Answers within both limits and never rejects. */
  async check(script: string): Promise<ScriptError | null> {
    const slot = this.#free.pop() ?? (await this.#turn());
    if (slot === undefined) return this.#unjudged('busy');
    try {
      return await this.#judge(slot, script);
    } finally {
      this.#give(slot);
    }
  }

  /** Ends the processes. What is still asked counts as right. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    for (const settle of this.#waiting.splice(0)) settle(undefined);
    const processes = this.#slots.flatMap(({ process }) => process ?? []);
    for (const process of processes) process.end();
    await Promise.all(processes.map(({ ended }) => ended));
  }

  /** A process may have ended since its last answer, which is known a moment later: then another one is asked, once. */
  async #judge(slot: Slot, script: string): Promise<ScriptError | null> {
    for (let tries = 0; tries < 2 && !this.#isDisposed; tries += 1) {
      if (slot.process === undefined || slot.process.isEnded) slot.process = this.#start();
      const verdict = await slot.process.judge(script, this.#judgeLimitMs);
      if (verdict === 'late') return this.#unjudged('late');
      if (verdict !== 'ended') return verdict.error;
    }
    return this.#unjudged('ended');
  }

  #start(): CheckerProcess {
    return new CheckerProcess(this.#python, this.#folder);
  }

  #unjudged(why: string): null {
    if (!this.#isDisposed) this.#logger.warn({ why }, 'script.not_checked');
    return null;
  }

  #turn(): Promise<Slot | undefined> {
    if (this.#isDisposed || this.#waiting.length >= MAX_WAITING) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const settle = (slot: Slot | undefined) => {
        clearTimeout(limit);
        resolve(slot);
      };
      const limit = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(settle), 1);
        resolve(undefined);
      }, this.#waitLimitMs);
      this.#waiting.push(settle);
    });
  }

  #give(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next(slot);
  }
}
