import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The process id of the runner of a run in this folder, as its spool says. */
export async function runnerPidOf(runFolder: string): Promise<number> {
  const spool = await readFile(join(runFolder, 'spool'), 'utf8');
  return JSON.parse(spool.split('\n', 1)[0] ?? '').start.pid;
}
