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

/**
 * What processes and all that came out of them take of the machine's memory, in bytes, in the order given; 0 for one that is
 * gone. What several processes share counts for each of them in part, where the system tells (Linux).
 */
export async function memoryOfTrees(roots: readonly number[]): Promise<number[]> {
  if (roots.length === 0) return [];
  const all = process.platform === 'linux' ? await fromProc() : await fromPs();
  return Promise.all(
    roots.map(async (root) => {
      const sizes = await Promise.all(treeOf(root, all).map(bytesOf));
      return sizes.reduce((sum, bytes) => sum + bytes, 0);
    }),
  );
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
  const looks = names.map(async (name) => {
    const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields.length <= RESIDENT) return [];
    return [
      { pid: Number(name), parent: Number(fields[PARENT]), residentBytes: Number(fields[RESIDENT]) * PAGE_BYTES },
    ];
  });
  return (await Promise.all(looks)).flat();
}

async function fromPs(): Promise<Found[]> {
  const { stdout } = await promisify(execFile)('/bin/ps', ['-axo', 'pid=,ppid=,rss='], { maxBuffer: 16 * 2 ** 20 });
  return stdout.split('\n').flatMap((line) => {
    const [pid, parent, kibibytes] = line.trim().split(/\s+/).map(Number);
    if (pid === undefined || parent === undefined || kibibytes === undefined) return [];
    return [{ pid, parent, residentBytes: kibibytes * 1024 }];
  });
}
