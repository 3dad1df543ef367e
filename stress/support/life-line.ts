import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * A pipe with a name, of which every process of a script holds the writing end and into which each writes a byte when it
 * begins. The system itself thus says whether one of them is left, whatever it did to its name, its parent, its session,
 * its environment, or in whichever namespace it is.
 */
export class LifeLine implements Disposable {
  readonly path: string;
  readonly #fd: number;
  #born = 0;

  /** @param folder one that scripts can reach */
  static async make(folder: string, name: string): Promise<LifeLine> {
    const path = join(folder, name);
    await promisify(execFile)('mkfifo', [path]);
    await chmod(path, 0o666);
    return new LifeLine(path);
  }

  private constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** How many processes have begun, and whether one that has is left. */
  look(): { born: number; isHeld: boolean } {
    const buffer = Buffer.alloc(4096);
    try {
      for (;;) {
        const bytes = readSync(this.#fd, buffer);
        if (bytes === 0) return { born: this.#born, isHeld: false };
        this.#born += bytes;
      }
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN')
        return { born: this.#born, isHeld: true };
      throw error;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
