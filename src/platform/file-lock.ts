import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

const SQLITE_BUSY = 5;
/** Between two tries; most locks are held for a moment, and a build for many seconds. */
const FIRST_PAUSE_MS = 5;
const MAX_PAUSE_MS = 100;

/** `shared`: any number of holders; `exclusive`: one, and none that is shared. */
export type LockMode = 'shared' | 'exclusive';

/**
 * A lock between processes, and between the threads of this one, on an empty file. It is one of the operating system's and
 * ends with the process however that ends: there is no stale lock to take over, and so no race for one. Node has no call for
 * it, but SQLite takes one: on the bytes that its file format sets aside for that, which `python/asgard/file_lock.py` locks
 * too. The file stays when the lock is released: who has just opened it would otherwise lock a file that is gone.
 */
export class FileLock implements Disposable {
  readonly #database: DatabaseSync;

  /** Takes the lock if nobody stands in its way; null otherwise. Makes the file's folder when it is missing. */
  static async tryAcquire(path: string, mode: LockMode): Promise<FileLock | null> {
    // What the folder is in need not be its owner's alone.
    await mkdir(dirname(dirname(path)), { recursive: true });
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      // A transaction that has read holds a shared lock until it ends.
      database.exec(mode === 'exclusive' ? 'BEGIN EXCLUSIVE' : 'BEGIN; SELECT count(*) FROM sqlite_schema');
      return new FileLock(database);
    } catch (error) {
      database.close();
      if (isBusy(error)) return null;
      throw error;
    }
  }

  /**
   * Waits for the lock.
   * @throws the signal's reason
   */
  static async acquire(
    path: string,
    mode: LockMode,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<FileLock> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      signal?.throwIfAborted();
      const lock = await FileLock.tryAcquire(path, mode);
      if (lock !== null) return lock;
      await delay(pauseMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Releases it. Safe to call twice. */
  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}
