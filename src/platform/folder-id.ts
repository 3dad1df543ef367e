import { randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isSystemError } from './errors.ts';

const FILE = 'id';

/**
 * A random id of a data folder, made once: it stays when the machine gets another name, and when the folder is seen from
 * another machine or at another path. To be called by who has the folder's lock.
 */
export async function folderId(folder: string): Promise<string> {
  const path = join(folder, FILE);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return '';
    throw error;
  });
  const known = z.uuid().safeParse(text.trim());
  if (known.success) return known.data;
  const made = randomUUID();
  await writeFile(`${path}.new`, `${made}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return made;
}
