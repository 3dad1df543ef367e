import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunHandle } from './executor.ts';

const ROUNDS = 50;
const PAUSE_MS = 20;

/** The variable that marks every process of an execution: what a script starts inherits it. */
export const RUN_VARIABLE = 'ASGARD_RUN';

const MARK = new RegExp(`(?:^|\\0)${RUN_VARIABLE}=([^\\0]*)`);

/** The value of `RUN_VARIABLE`. */
export function runMark({ jobId, attempt }: RunHandle): string {
  return `${jobId}/${attempt}`;
}

/**
 * Kills what an execution left running without a runner. A runner ends all that came out of its script; but when it is
 * killed itself, the system ends the script's main process alone. Only on Linux can the rest be found: by the mark and, where
 * the script had a user number of its own, by that.
 * @param ownFolder a folder of a user whom no other execution has, in one of the platform's; null: there is no such user
 */
export async function killOrphans(handle: RunHandle, ownFolder: string | null): Promise<void> {
  const mark = runMark(handle);
  const uid = ownFolder === null ? null : await ownUser(ownFolder);
  // A process that forks while it is being looked for can escape one round.
  for (let round = 0; round < ROUNDS; round += 1) {
    const pids = orphansAmong(await processes(), mark, uid);
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

/** Null: the script had the platform's own. */
async function ownUser(folder: string): Promise<number | null> {
  try {
    const [own, platform] = await Promise.all([stat(folder), stat(dirname(folder))]);
    // Compared with what the platform makes here rather than with what it is: a network's disk may give it another number.
    return own.uid === platform.uid ? null : own.uid;
  } catch {
    return null; // nothing was made ready for it
  }
}

interface FoundProcess {
  readonly pid: number;
  /** Of its execution; undefined: it bears none. */
  readonly mark: string | undefined;
  readonly uid: number;
}

function orphansAmong(found: readonly FoundProcess[], mark: string, uid: number | null): number[] {
  const ofUser = found.filter((each) => each.uid === uid);
  // A number is given anew when the runner that it belonged to is gone.
  const isOwn = ofUser.every((each) => each.mark === undefined || each.mark === mark);
  return found.filter((each) => each.mark === mark || (isOwn && each.uid === uid)).map(({ pid }) => pid);
}

async function processes(): Promise<FoundProcess[]> {
  const names = await readdir('/proc').catch(() => []);
  const found = names.map(async (name) => {
    if (!/^\d+$/.test(name)) return [];
    // Of a process that has ended nothing is told, and not all of another user's.
    const read = (file: string) => readFile(`/proc/${name}/${file}`, 'latin1').catch(() => '');
    const [environment, status] = await Promise.all([read('environ'), read('status')]);
    // One that has ended and that nobody has asked about is shown still.
    if (/^State:\t[ZX]/m.test(status)) return [];
    const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
    return [{ pid: Number(name), mark: MARK.exec(environment)?.[1], uid }];
  });
  return (await Promise.all(found)).flat();
}
