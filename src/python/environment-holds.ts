import { utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FileLock } from '../platform/file-lock.ts';

/**
 * The file whose lock an environment's users share, each until it ends: jobs' runners, launchers, model workers, and the
 * platform while it is about to start one. Who builds or removes the environment holds it alone. Its time is the last use's.
 */
export function environmentLockPath(environmentFolder: string): string {
  return join(dirname(environmentFolder), 'locks', basename(environmentFolder));
}

interface Held {
  readonly lock: FileLock;
  holders: number;
}

/** Shared locks of environments, one for all holders of this thread. */
export class EnvironmentHolds {
  readonly #held = new Map<string, Held>();

  /**
   * Keeps an environment from being removed, also one that is not there yet.
   * @returns releases it; safe to call twice
   */
  async hold(environmentFolder: string, options: { signal?: AbortSignal | undefined } = {}): Promise<() => void> {
    const path = environmentLockPath(environmentFolder);
    const known = this.#held.get(path);
    if (known !== undefined) return this.#release(path, known);
    const lock = await FileLock.acquire(path, 'shared', options);
    const other = this.#held.get(path);
    if (other !== undefined) {
      lock[Symbol.dispose]();
      return this.#release(path, other);
    }
    const held = { lock, holders: 0 };
    this.#held.set(path, held);
    const release = this.#release(path, held);
    const now = new Date();
    // In a folder that another account owns and shares, its use leaves no time behind.
    await utimes(path, now, now).catch(() => {});
    return release;
  }

  #release(path: string, held: Held): () => void {
    held.holders += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      held.holders -= 1;
      if (held.holders > 0) return;
      this.#held.delete(path);
      held.lock[Symbol.dispose]();
    };
  }
}
