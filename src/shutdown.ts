import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from './platform/logger.ts';

interface Step {
  readonly name: string;
  readonly end: () => Promise<unknown>;
  readonly deadlineMs: number;
  readonly group: string;
}

/**
 * What was started, to be ended in the reverse order. A step that fails or takes longer than its deadline is logged and
 * left behind, so that one part that hangs cannot keep the others running.
 */
export class Shutdown {
  readonly #steps: Step[] = [];
  readonly #logger: Logger;
  #running: Promise<void> | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Registers the end of something that has just been started. Neighbours of one `group` are ended at the same time. */
  add(name: string, deadlineMs: number, end: () => Promise<unknown>, group = name): void {
    this.#steps.push({ name, end, deadlineMs, group });
  }

  /** Registers a resource, and gives it back. */
  own<T extends AsyncDisposable>(name: string, deadlineMs: number, resource: T, group = name): T {
    this.add(name, deadlineMs, async () => resource[Symbol.asyncDispose](), group);
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
    while (this.#steps.length > 0) {
      const group = this.#steps.at(-1)?.group;
      const together: Promise<void>[] = [];
      for (let step = this.#steps.at(-1); step?.group === group; step = this.#steps.at(-1)) {
        this.#steps.pop();
        if (step !== undefined) together.push(this.#end(step));
      }
      await Promise.all(together);
    }
  }

  async #end({ name, end, deadlineMs }: Step): Promise<void> {
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
