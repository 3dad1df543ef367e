import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface FoundProcess {
  readonly pid: number;
  /** Its arguments, with blanks between them. */
  readonly command: string;
}

/**
 * The running processes that have to do with a folder: it is in their arguments, their environment or their working
 * directory, so that one which changed any two of them is still found. The caller itself does not count.
 */
export function processesOf(folder: string): FoundProcess[] {
  const found = process.platform === 'linux' ? fromProc(folder) : fromPs(folder);
  return found.filter(({ pid }) => pid !== process.pid);
}

function fromProc(folder: string): FoundProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      const texts = [command, readFileSync(`/proc/${name}/environ`, 'utf8'), readlinkSync(`/proc/${name}/cwd`)];
      return texts.some((text) => text.includes(folder)) ? [{ pid: Number(name), command }] : [];
    } catch {
      return []; // it has ended, or belongs to another user
    }
  });
}

function fromPs(folder: string): FoundProcess[] {
  // With "e" the environment follows the arguments.
  const lines = execFileSync('ps', ['axeww', '-o', 'pid=,command='], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => {
    const [, pid, command = ''] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
    return pid !== undefined && command.includes(folder) ? [{ pid: Number(pid), command }] : [];
  });
}

/** Kills a process, or sends it another signal, unless it has ended, such as with one that was killed before it. */
export function killIfThere(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
