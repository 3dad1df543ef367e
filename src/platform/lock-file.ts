import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { AsgardError } from './errors.ts';
import { FileLock } from './file-lock.ts';

const holder = z.object({ pid: z.int().positive() });

/**
 * Keeps a folder to one process of this machine, by a lock on the file `<path>.db`. The file `path` only says who holds it.
 * Disposing releases it.
 */
export class FolderLock implements AsyncDisposable {
  readonly #path: string;
  readonly #lock: FileLock;

  /**
   * Takes the lock kept at `path`, making its folder when it is missing.
   * @throws AsgardError `CONFLICT` naming the process that holds it
   */
  static async acquire(path: string): Promise<FolderLock> {
    const lock = await FileLock.tryAcquire(`${path}.db`, 'exclusive');
    if (lock === null) {
      const by = await holderOf(path);
      const message = `the data folder ${dirname(path)} is in use by ${by}; stop it or set ASGARD_HOME`;
      throw new AsgardError('CONFLICT', message);
    }
    await writeFile(path, `${JSON.stringify({ pid: process.pid })}\n`, { mode: 0o600 });
    return new FolderLock(path, lock);
  }

  private constructor(path: string, lock: FileLock) {
    this.#path = path;
    this.#lock = lock;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#path, { force: true });
    this.#lock[Symbol.dispose]();
  }
}

async function holderOf(path: string): Promise<string> {
  try {
    return `process ${holder.parse(JSON.parse(await readFile(path, 'utf8'))).pid}`;
  } catch {
    return 'another process';
  }
}
