import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { AsgardError } from './errors.ts';

const SQLITE_BUSY = 5;
const holder = z.object({ pid: z.int().positive() });

/**
 * Keeps a folder to one process of this machine. The lock is one of the operating system's on the empty file `<path>.db`,
 * which ends with the process however that ends: there is no stale lock to take over, and so no race for one. Node has no
 * call for such a lock, but SQLite takes one. The file `path` only says who holds it. Disposing releases it.
 */
export class FolderLock implements AsyncDisposable {
  readonly #path: string;
  readonly #lock: DatabaseSync;

  /**
   * Takes the lock kept at `path`, making its folder when it is missing.
   * @throws AsgardError `CONFLICT` naming the process that holds it
   */
  static async acquire(path: string): Promise<FolderLock> {
    const folder = dirname(path);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const lock = new DatabaseSync(`${path}.db`, { timeout: 0 });
    try {
      lock.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      lock.close();
      if (!isBusy(error)) throw error;
      const by = await holderOf(path);
      throw new AsgardError('CONFLICT', `the data folder ${folder} is in use by ${by}; stop it or set ASGARD_HOME`);
    }
    const held = new FolderLock(path, lock);
    await writeFile(path, `${JSON.stringify({ pid: process.pid })}\n`, { mode: 0o600 });
    return held;
  }

  private constructor(path: string, lock: DatabaseSync) {
    this.#path = path;
    this.#lock = lock;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // `<path>.db` stays: a process that has just opened it would otherwise lock a file that is gone.
    await rm(this.#path, { force: true });
    this.#lock.close();
  }
}

async function holderOf(path: string): Promise<string> {
  try {
    return `process ${holder.parse(JSON.parse(await readFile(path, 'utf8'))).pid}`;
  } catch {
    return 'another process';
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}
