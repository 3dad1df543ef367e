import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { makeNamedPipe } from './named-pipe.ts';

/** A pipe with a name that scripts wait at, also those that are set apart: each takes one byte of it. */
export class Gate implements Disposable {
  /** Python that returns when the gate has been opened for whoever runs it. */
  readonly python: string;
  readonly #fd: number;
  #isOpen = false;

  /** @param folder one that scripts can reach */
  static async make(folder: string, name: string): Promise<Gate> {
    return new Gate(await makeNamedPipe(folder, name));
  }

  private constructor(path: string) {
    this.python = `import os\nos.read(os.open(${JSON.stringify(path)}, os.O_RDONLY), 1)\n`;
    // For reading too: so the scripts find it open, and what is written waits for them.
    this.#fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** Lets so many scripts through, whenever they come. Called again, it does nothing. */
  open(scripts: number): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    writeSync(this.#fd, '.'.repeat(scripts));
  }

  /** To be called when the last script has passed. */
  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
