import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const PAGE_BYTES = 4096;
/** Of these fields of /proc/<pid>/stat after the program's name: the parent, and the pages in memory. */
const [PARENT, RESIDENT] = [1, 21];

interface Found {
  readonly pid: number;
  readonly parent: number;
  readonly residentBytes: number;
}

/** A process and all that came out of it. */
export interface TreeMemory {
  readonly pids: readonly number[];
  /** What they take of the machine's memory. What several processes share counts for each in part, where the system tells (Linux). */
  readonly bytes: number;
  /** What is in memory of each, so that what they share counts several times. */
  readonly residentBytes: number;
}

/**
 * Measures processes with all that came out of them, in the order given; one that is gone has nothing. It takes the system some
 * milliseconds for each process: see `residentBytesOf`.
 */
export async function memoryOfTrees(roots: readonly number[]): Promise<TreeMemory[]> {
  if (roots.length === 0) return [];
  const all = process.platform === 'linux' ? await fromProc() : await fromPs();
  return Promise.all(
    roots.map(async (root) => {
      const tree = treeOf(root, all);
      const bytes = sumOf(await Promise.all(tree.map(bytesOf)));
      const residentBytes = sumOf(tree.map((each) => each.residentBytes));
      return { pids: tree.map(({ pid }) => pid), bytes, residentBytes };
    }),
  );
}

/** What is in memory of each of some processes together, which is cheap to ask for; null where the system does not tell so. */
export async function residentBytesOf(pids: readonly number[]): Promise<number | null> {
  if (process.platform !== 'linux') return null;
  const found = await Promise.all(pids.map(lookAt));
  return sumOf(found.map((each) => each?.residentBytes ?? 0));
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

function treeOf(root: number, all: readonly Found[]): Found[] {
  const tree = all.filter(({ pid }) => pid === root);
  for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid));
  return tree;
}

async function bytesOf({ pid, residentBytes }: Found): Promise<number> {
  // Of another user's process it is told to root alone.
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
  const kibibytes = /^Pss: +(\d+)/m.exec(text)?.[1];
  return kibibytes === undefined ? residentBytes : Number(kibibytes) * 1024;
}

async function fromProc(): Promise<Found[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(names.map((name) => lookAt(Number(name))));
  return found.filter((each) => each !== null);
}

async function lookAt(pid: number): Promise<Found | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields.length <= RESIDENT) return null;
  return { pid, parent: Number(fields[PARENT]), residentBytes: Number(fields[RESIDENT]) * PAGE_BYTES };
}

async function fromPs(): Promise<Found[]> {
  const { stdout } = await promisify(execFile)('/bin/ps', ['-axo', 'pid=,ppid=,rss='], { maxBuffer: 16 * 2 ** 20 });
  return stdout.split('\n').flatMap((line) => {
    const [pid, parent, kibibytes] = line.trim().split(/\s+/).map(Number);
    if (pid === undefined || parent === undefined || kibibytes === undefined) return [];
    return [{ pid, parent, residentBytes: kibibytes * 1024 }];
  });
}
