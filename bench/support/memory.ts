import { readdir, readFile } from 'node:fs/promises';

/** A running process. Proportional: a page that several processes share counts in each by its part. */
export interface ProcessMemory {
  readonly pid: number;
  /** Its arguments, with blanks between them. */
  readonly command: string;
  readonly residentMib: number;
  readonly proportionalMib: number;
}

/** The memory of a process and of all that it started. Needs Linux, whose /proc tells it. */
export async function memoryOf(root: number): Promise<ProcessMemory[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    // After the name in parentheses, which may hold blanks: the state, then the parent.
    const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const isOurs = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (pid === root || isOurs(parents.get(pid)));
  const found = await Promise.all([...parents.keys()].filter(isOurs).map(read));
  return found.filter((process) => process !== null);
}

/** Of several processes together. */
export function totalMib(processes: readonly ProcessMemory[]): number {
  return processes.reduce((sum, { proportionalMib }) => sum + proportionalMib, 0);
}

async function read(pid: number): Promise<ProcessMemory | null> {
  try {
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
    const mib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) / 1024;
    return { pid, command, residentMib: mib('Rss'), proportionalMib: mib('Pss') };
  } catch {
    return null; // it has just ended
  }
}
