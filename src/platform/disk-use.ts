import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * What folders take on the disk, in bytes, each in the order given without what the ones before it hold too: files that
 * several of them have by hard links count for the first. Folders that are gone meanwhile count 0.
 */
export async function diskUse(folders: readonly string[]): Promise<number[]> {
  if (folders.length === 0) return [];
  // A machine's own `du` reads 30,000 files in a tenth of a second of a child's time, not of this process's.
  const { stdout } = await promisify(execFile)('du', ['-sk', '--', ...folders], {
    maxBuffer: MAX_OUTPUT_BYTES,
    env: { PATH: '/usr/bin:/bin' },
  }).catch((error: unknown) => {
    // A file that went meanwhile makes it end with 1, after all the sums.
    if (error instanceof Error && 'stdout' in error && typeof error.stdout === 'string')
      return { stdout: error.stdout };
    throw error;
  });
  const sums = new Map(
    stdout.split('\n').flatMap((line) => {
      const [kibibytes = '', folder] = line.split('\t');
      return folder === undefined ? [] : [[folder, Number(kibibytes) * 1024] as const];
    }),
  );
  return folders.map((folder) => sums.get(folder) ?? 0);
}
