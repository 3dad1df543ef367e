import { memoryOfTrees } from '../../platform/process-memory.ts';

const INTERVAL_MS = 5_000;

/** What model processes take of the machine's memory, measured every few seconds in one look for all of them. */
export class ProcessMemory implements Disposable {
  readonly #bytes = new Map<number, number>();
  readonly #timer = setInterval(() => void this.#measure(), INTERVAL_MS).unref();

  /** Follows a process and all that comes out of it. Resolves when it has been measured for the first time. */
  async add(pid: number): Promise<void> {
    this.#bytes.set(pid, 0);
    await this.#measure();
  }

  remove(pid: number): void {
    this.#bytes.delete(pid);
  }

  /** As last measured; 0 of one that is not followed. */
  bytesOf(pid: number): number {
    return this.#bytes.get(pid) ?? 0;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Never rejects: what cannot be measured now stays as it was. */
  async #measure(): Promise<void> {
    const pids = [...this.#bytes.keys()];
    const sizes = await memoryOfTrees(pids).catch(() => []);
    for (const [index, pid] of pids.entries()) {
      const bytes = sizes[index] ?? 0;
      if (bytes > 0 && this.#bytes.has(pid)) this.#bytes.set(pid, bytes);
    }
  }
}
