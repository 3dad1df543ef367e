import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Makes a pipe with a name that every script can open, also one that is set apart.
 * @param folder one that scripts can reach
 * @returns its path
 */
export async function makeNamedPipe(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  await promisify(execFile)('mkfifo', [path]);
  await chmod(path, 0o666);
  return path;
}
