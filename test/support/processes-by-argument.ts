import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Ids of the processes (zombies apart) whose arguments contain `marker`; this process is never among them. */
export async function processesWith(marker: string): Promise<number[]> {
  const found = process.platform === 'linux' ? await fromProc(marker) : await fromPs(marker);
  return found.filter((pid) => pid !== process.pid);
}

async function fromProc(marker: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const matches = await Promise.all(
    // The arguments of a zombie are empty, as are those of what ended since the folder was read.
    pids.map(async (pid) => (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(marker)),
  );
  return pids.filter((_, index) => matches[index]).map(Number);
}

async function fromPs(marker: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,args=']);
  return stdout
    .split('\n')
    .filter((line) => line.includes(marker))
    .map((line) => Number.parseInt(line, 10));
}
