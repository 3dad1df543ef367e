import { ScriptPipe } from './script-pipe.ts';

/**
 * A pipe of which every process of a script holds the writing end and into which each writes a byte when it begins. The
 * system itself thus says whether one of them is left, whatever it did to its name, its parent, its session, its environment,
 * or in whichever namespace it is.
 */
export class LifeLine implements Disposable {
  readonly #pipe: ScriptPipe;
  #born = 0;

  /** @param folder one that scripts can reach */
  static async make(folder: string, name: string): Promise<LifeLine> {
    return new LifeLine(await ScriptPipe.make(folder, name));
  }

  private constructor(pipe: ScriptPipe) {
    this.#pipe = pipe;
  }

  get path(): string {
    return this.#pipe.path;
  }

  /** How many processes have begun, and whether one that has is left. */
  look(): { born: number; isHeld: boolean } {
    const { text, isHeld } = this.#pipe.read();
    this.#born += text.length;
    return { born: this.#born, isHeld };
  }

  [Symbol.dispose](): void {
    this.#pipe[Symbol.dispose]();
  }
}
