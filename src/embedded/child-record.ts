import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { identityOfProcess } from '../platform/process-identity.ts';

const record = z.object({ pid: z.int().min(2), identity: z.string().min(1) });

/** Keeps the running child in the file `path`, so that a later Asgard finds it if this one is killed. */
export async function recordChild(path: string, pid: number): Promise<void> {
  const identity = identityOfProcess(pid);
  if (identity === null) return; // it has ended already
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, `${JSON.stringify({ pid, identity })}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** The process id of a recorded child that still runs, if any. A number that was given to another process since does not count. */
export async function recordedChild(path: string): Promise<number | undefined> {
  try {
    const parsed = record.parse(JSON.parse(await readFile(path, 'utf8')));
    return identityOfProcess(parsed.pid) === parsed.identity ? parsed.pid : undefined;
  } catch {
    return undefined; // none was kept, or the file was cut short before its child could have been of use
  }
}

export async function forgetChild(path: string): Promise<void> {
  await rm(path, { force: true });
}
