import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * The processes whose arguments, each followed by `\\0`, contain `text`; never this one. On Linux from /proc, elsewhere
 * from `ps`, which has blanks between them.
 */
export async function processesNaming(text: string): Promise<number[]> {
  const found = process.platform === 'linux' ? await fromProc(text) : await fromPs(text);
  return found.filter((pid) => pid !== process.pid);
}

async function fromProc(text: string): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const looks = names.map(async (name) => {
    // Of one that has just ended nothing is told.
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    return line.includes(text) ? [Number(name)] : [];
  });
  return (await Promise.all(looks)).flat();
}

async function fromPs(text: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)('/bin/ps', ['-axo', 'pid=,command='], { maxBuffer: 64 * 1024 * 1024 });
  return stdout
    .split('\n')
    .flatMap((line) => (line.includes(text.replaceAll('\0', ' ')) ? [Number.parseInt(line, 10)] : []));
}
