import { memoryOfTrees, residentBytesOf, type TreeMemory } from '../../platform/process-memory.ts';

const INTERVAL_MS = 5_000;
/** To measure takes milliseconds from whoever waits for a prediction: a process that looks the same is let be for so long. */
const MEASURED_ANEW_MS = 60_000;
/** Of what is in memory; less than that looks the same. */
const SAME = 1 / 16;

type Measured = TreeMemory & { readonly at: number };

/** What model processes take of the machine's memory, looked at every few seconds and measured where that has changed. */
export class ProcessMemory implements Disposable {
  /** Null: not measured yet. */
  readonly #measured = new Map<number, Measured | null>();
  readonly #timer: NodeJS.Timeout;

  constructor(intervalMs = INTERVAL_MS) {
    this.#timer = setInterval(() => void this.#measure(), intervalMs).unref();
  }

  /** Follows a process and all that comes out of it. Resolves when it has been measured for the first time. */
  async add(pid: number): Promise<void> {
    this.#measured.set(pid, null);
    await this.#measure();
  }

  remove(pid: number): void {
    this.#measured.delete(pid);
  }

  /** As last measured; 0 of one that is not followed. */
  bytesOf(pid: number): number {
    return this.#measured.get(pid)?.bytes ?? 0;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Never rejects: what cannot be measured now stays as it was. */
  async #measure(): Promise<void> {
    const looks = [...this.#measured].map(async ([pid, known]) => ((await isSame(known)) ? [] : [pid]));
    const pids = (await Promise.all(looks)).flat();
    const trees = await memoryOfTrees(pids).catch(() => []);
    for (const [index, pid] of pids.entries()) {
      const tree = trees[index];
      if (tree !== undefined && tree.bytes > 0 && this.#measured.has(pid)) {
        this.#measured.set(pid, { ...tree, at: performance.now() });
      }
    }
  }
}

async function isSame(known: Measured | null): Promise<boolean> {
  if (known === null || performance.now() - known.at > MEASURED_ANEW_MS) return false;
  const resident = await residentBytesOf(known.pids);
  return resident !== null && Math.abs(resident - known.residentBytes) <= known.residentBytes * SAME;
}
