import type { JobEvent } from '../jobs/events.ts';

/** Stores events in the order in which they are added, one batch at a time: what comes meanwhile makes the next batch. */
export class EventWriter implements AsyncDisposable {
  readonly #store: (events: readonly JobEvent[]) => Promise<unknown>;
  #pending: JobEvent[] = [];
  #writing: Promise<void> | undefined;

  constructor(store: (events: readonly JobEvent[]) => Promise<unknown>) {
    this.#store = store;
  }

  add(event: JobEvent): void {
    this.#pending.push(event);
    this.#writing ??= this.#write();
    // Seen by whoever disposes; until then a failure must not end the process as an unhandled one.
    this.#writing.catch(() => {});
  }

  /** Resolves when all is stored. Rejects when a batch could not be. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      await this.#store(batch);
    }
    this.#writing = undefined;
  }
}
