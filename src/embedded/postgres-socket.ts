import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What macOS takes of a socket's path, without the byte that ends it; Linux takes 107. */
const MAX_PATH_BYTES = 103;
const PREFIX = '.s.PGSQL.';

/**
 * Where a server of this cluster has its UNIX socket: in the cluster's own folder, which only its owner can enter. Null when the
 * socket's path would be longer than a system takes: such a server is reached by TCP alone.
 */
export function socketFolder(cluster: string): string | null {
  return Buffer.byteLength(join(cluster, `${PREFIX}65535`)) > MAX_PATH_BYTES ? null : cluster;
}

/** Removes what a killed server left: it would not start while a stranger has the number of the process that its lock names. */
export async function removeSockets(cluster: string): Promise<void> {
  const left = (await readdir(cluster)).filter((name) => name.startsWith(PREFIX));
  for (const name of left) await rm(join(cluster, name), { force: true });
}
