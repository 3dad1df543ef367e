import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const BLOCK = Buffer.alloc(4096);

/** A file system of a few MiB, which can be filled. Disposing removes it. */
export class SmallDisk implements AsyncDisposable {
  readonly folder: string;

  /** Undefined where nothing can be mounted. */
  static async mount(mebibytes: number): Promise<SmallDisk | undefined> {
    const folder = await mkdtemp(join(tmpdir(), 'asgard-small-disk-'));
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=755`, 'tmpfs', folder]);
      return new SmallDisk(folder);
    } catch {
      await rm(folder, { recursive: true });
      return undefined;
    }
  }

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Takes all that is free. */
  async fill(): Promise<void> {
    await using file = await open(join(this.folder, 'filler'), 'a');
    for (;;) {
      try {
        await file.write(BLOCK);
      } catch {
        return;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', ['--lazy', this.folder]);
    await rm(this.folder, { recursive: true });
  }
}
