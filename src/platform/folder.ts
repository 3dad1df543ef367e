import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder, and those above it, unless it is there. Node's own `mkdir` with `recursive` tries for ever where nothing
 * can be made in a folder that is there and the system says `ENOENT` of it, as it does in /proc.
 * @throws the system's error (`code` is `EACCES`, `ENOENT`, `EEXIST` where something else is, …)
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  const parent = dirname(path);
  if (parent !== path && !(await isFolder(parent))) await makeFolder(parent, mode);
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (!(await isFolder(path))) throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
