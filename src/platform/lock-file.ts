import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { AsgardError } from './errors.ts';
import { identityOfProcess } from './process-identity.ts';

const MAX_ATTEMPTS = 20;
const holder = z.object({ pid: z.int().positive(), identity: z.string() });

/**
 * Keeps a folder to one process of this machine. The lock is a file that names its holder by pid and start time, so that
 * the lock of a process that died, or whose number was given to another, is taken over. Disposing releases it.
 */
export class FolderLock implements AsyncDisposable {
  readonly path: string;
  readonly #text: string;

  /**
   * Takes the lock kept in the file `path`, making its folder when it is missing.
   * @throws AsgardError `CONFLICT` naming the process that holds it
   */
  static async acquire(path: string): Promise<FolderLock> {
    const folder = dirname(path);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const identity = identityOfProcess(process.pid);
    if (identity === null) throw new Error('cannot read the start time of this process');
    const text = `${JSON.stringify({ pid: process.pid, identity })}\n`;
    const draft = `${path}.${randomUUID()}`;
    await writeFile(draft, text, { mode: 0o600 });
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        // A link appears whole or not at all: nobody reads a half-written lock, and only one of two racers makes it.
        if (await isLinked(draft, path)) return new FolderLock(path, text);
        const found = await readLock(path);
        if (found === undefined) continue;
        if (found.pid !== undefined) {
          const message = `the data folder ${folder} is in use by process ${found.pid}; stop it or set ASGARD_HOME`;
          throw new AsgardError('CONFLICT', message);
        }
        await removeStale(path, found.text);
      }
      throw new AsgardError('CONFLICT', `the lock ${path} cannot be taken; remove it if no Asgard runs there`);
    } finally {
      await rm(draft, { force: true });
    }
  }

  private constructor(path: string, text: string) {
    this.path = path;
    this.#text = text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if ((await readLock(this.path))?.text === this.#text) await rm(this.path, { force: true });
  }
}

async function isLinked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/** `undefined` when there is no lock; `pid` is absent when the lock is stale. */
async function readLock(path: string): Promise<{ text: string; pid?: number } | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const parsed = holder.safeParse(parseJson(text));
  const isHeld = parsed.success && identityOfProcess(parsed.data.pid) === parsed.data.identity;
  return isHeld ? { text, pid: parsed.data.pid } : { text };
}

/** Moves the stale lock aside and looks again at what was moved, so that a lock taken meanwhile is put back. */
async function removeStale(path: string, staleText: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) !== staleText) await isLinked(aside, path);
  await rm(aside, { force: true });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
