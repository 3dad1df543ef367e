import type { CallNotes, NotedCall } from '../../src/mlflow/calls-once.ts';
import type { JobIdentity } from '../../src/mlflow/job-identity.ts';

/** Notes of calls in memory, of as many gateways as share them: `leftBehind` makes all of them another process's. */
export class CallNotesForTests implements CallNotes {
  /** The notes that are kept now: what each is of, and whether its process has ended. */
  readonly kept = new Map<bigint, { key: string; mark: string; isLeftBehind: boolean }>();
  #lastId = 0n;

  leaveBehind(): void {
    for (const note of this.kept.values()) note.isLeftBehind = true;
  }

  async begin({ jobId }: JobIdentity, digest: Buffer): Promise<NotedCall> {
    const key = `${jobId}:${digest.toString('hex')}`;
    const [found] = [...this.kept].filter(([, note]) => note.key === key && note.isLeftBehind);
    if (found !== undefined) {
      const [id, note] = found;
      note.isLeftBehind = false;
      return { id, mark: note.mark, isRepeat: true };
    }
    this.#lastId += 1n;
    const mark = `mark-${jobId}-${this.#lastId}-${Date.now()}`;
    this.kept.set(this.#lastId, { key, mark, isLeftBehind: false });
    return { id: this.#lastId, mark, isRepeat: false };
  }

  async end(id: bigint): Promise<void> {
    this.kept.delete(id);
  }
}
