import { closeSync, constants, openSync, readSync } from 'node:fs';
import { makeNamedPipe } from './named-pipe.ts';

/**
 * A pipe with a name, into which scripts write, also those that are set apart and can write no file outside. Up to 64 KiB wait
 * in it to be read. What a process writes at a stroke stays together.
 */
export class ScriptPipe implements Disposable {
  readonly path: string;
  readonly #fd: number;

  /** @param folder one that scripts can reach */
  static async make(folder: string, name: string): Promise<ScriptPipe> {
    return new ScriptPipe(await makeNamedPipe(folder, name));
  }

  private constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** What was written since the last call, and whether a process that has opened it is left. */
  read(): { text: string; isHeld: boolean } {
    const buffer = Buffer.alloc(4096);
    let text = '';
    try {
      for (;;) {
        const bytes = readSync(this.#fd, buffer);
        if (bytes === 0) return { text, isHeld: false };
        text += buffer.toString('latin1', 0, bytes);
      }
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return { text, isHeld: true };
      throw error;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
