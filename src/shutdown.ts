import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from './platform/logger.ts';

/**
 * What was started, to be ended in the reverse order. A step that fails or takes longer than its deadline is logged and
 * left behind, so that one part that hangs cannot keep the others running.
 */
export class Shutdown {
  readonly #steps: { name: string; end: () => Promise<unknown>; deadlineMs: number }[] = [];
  readonly #logger: Logger;
  #running: Promise<void> | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Registers the end of something that has just been started. */
  add(name: string, deadlineMs: number, end: () => Promise<unknown>): void {
    this.#steps.push({ name, end, deadlineMs });
  }

  /** Registers a resource, and gives it back. */
  own<T extends AsyncDisposable>(name: string, deadlineMs: number, resource: T): T {
    this.add(name, deadlineMs, async () => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Whether it has begun: what ends from now on was asked to. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Runs every step once, however often it is called. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    for (const { name, end, deadlineMs } of this.#steps.reverse()) {
      const over = new AbortController();
      const deadline = delay(deadlineMs, 'late', { signal: over.signal }).catch(() => 'done');
      try {
        const outcome = await Promise.race([end(), deadline]);
        if (outcome === 'late') this.#logger.error({ step: name, deadlineMs }, 'shutdown.step_late');
      } catch (error) {
        this.#logger.error({ step: name, err: error }, 'shutdown.step_failed');
      } finally {
        over.abort();
      }
    }
  }
}
