import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { diskUse } from '../platform/disk-use.ts';
import { FileLock } from '../platform/file-lock.ts';
import { environmentLockPath } from './environment-holds.ts';

const HASH = /^[0-9a-f]{16}$/;

export interface EvictionOptions {
  /** Where the environments are. */
  readonly folder: string;
  /** What they may take on the disk together. */
  readonly limitBytes: number;
  readonly onEvicted: (hash: string) => Promise<void>;
}

/**
 * Removes those environments that were not used for the longest time until the rest is within the limit. One that anybody
 * uses, in whatever process, stays, also beyond the limit: its lock says so. Files that several environments share by hard
 * links count once, and what uv's cache keeps beside them does not count: that is uv's, and its user's to clear.
 */
export async function evictLeastUsed({ folder, limitBytes, onEvicted }: EvictionOptions): Promise<void> {
  // One at a time: two would remove twice what one has to.
  using turn = await FileLock.tryAcquire(join(folder, 'locks', 'eviction'), 'exclusive');
  if (turn === null) return;
  const hashes = await latestFirst(folder);
  // The sum of each is what goes with it when all that were used after it stay.
  const sizes = await diskUse(hashes.map((hash) => join(folder, hash)));
  let excess = sizes.reduce((sum, size) => sum + size, 0) - limitBytes;
  for (const [index, hash] of [...hashes.entries()].toReversed()) {
    if (excess <= 0) return;
    using alone = await FileLock.tryAcquire(environmentLockPath(join(folder, hash)), 'exclusive');
    if (alone === null) continue;
    // By its name it is whole or not there, whenever this is killed; a build or a start removes the rest.
    const partial = join(folder, `.partial-${hash}-${randomUUID()}`);
    await rename(join(folder, hash), partial);
    await onEvicted(hash);
    await rm(partial, { recursive: true, force: true });
    excess -= sizes[index] ?? 0;
  }
}

async function latestFirst(folder: string): Promise<string[]> {
  const hashes = (await readdir(folder).catch(() => [])).filter((name) => HASH.test(name));
  const used = await Promise.all(
    hashes.map(async (hash) => {
      const path = join(folder, hash);
      // One of an earlier version, which noted no use, has the time of its build.
      const { mtimeMs } = await stat(environmentLockPath(path)).catch(() => stat(path).catch(() => ({ mtimeMs: 0 })));
      return { hash, mtimeMs };
    }),
  );
  return used.toSorted((a, b) => b.mtimeMs - a.mtimeMs).map(({ hash }) => hash);
}
