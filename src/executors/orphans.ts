import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunHandle } from './executor.ts';

const ROUNDS = 50;
const PAUSE_MS = 20;

/** The variable that marks every process of an execution: what a script starts inherits it. */
export const RUN_VARIABLE = 'ASGARD_RUN';

/** The value of `RUN_VARIABLE`. */
export function runMark({ jobId, attempt }: RunHandle): string {
  return `${jobId}/${attempt}`;
}

/**
 * Kills what an execution left running without a runner. A runner ends all that came out of its script; but when it is
 * killed itself, the system ends the script's main process alone. Only on Linux can the rest be found.
 */
export async function killOrphans(handle: RunHandle): Promise<void> {
  const mark = `\0${RUN_VARIABLE}=${runMark(handle)}\0`;
  // A process that forks while it is being looked for can escape one round.
  for (let round = 0; round < ROUNDS; round += 1) {
    const pids = await marked(mark);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended between the look and the signal.
      }
    }
    await delay(PAUSE_MS);
  }
}

async function marked(mark: string): Promise<number[]> {
  const names = await readdir('/proc').catch(() => []);
  const found = names.map(async (name) => {
    if (!/^\d+$/.test(name)) return [];
    // Of a process that has ended, or is another user's, nothing is told.
    const environment = await readFile(`/proc/${name}/environ`, 'latin1').catch(() => '');
    return `\0${environment}`.includes(mark) ? [Number(name)] : [];
  });
  return (await Promise.all(found)).flat();
}
