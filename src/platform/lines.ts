import { StringDecoder } from 'node:string_decoder';

const MAX_LINE_CHARACTERS = 64 * 1024;

/**
 * Cuts a stream of UTF-8 bytes into lines, without their endings (`\n` or `\r\n`). A line longer than 64 KiB is given in
 * parts of that length, so that a program that never ends a line cannot fill the memory.
 */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(chunk: Uint8Array): void {
    this.#take(this.#decoder.write(chunk));
  }

  /** Gives the last line when it had no ending. */
  end(): void {
    this.#take(this.#decoder.end());
    if (this.#rest !== '') this.#onLine(this.#rest);
    this.#rest = '';
  }

  #take(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const part of parts) this.#emit(part.endsWith('\r') ? part.slice(0, -1) : part);
    while (this.#rest.length > MAX_LINE_CHARACTERS) {
      this.#onLine(this.#rest.slice(0, MAX_LINE_CHARACTERS));
      this.#rest = this.#rest.slice(MAX_LINE_CHARACTERS);
    }
  }

  #emit(line: string): void {
    for (let start = 0; start < line.length || start === 0; start += MAX_LINE_CHARACTERS) {
      this.#onLine(line.slice(start, start + MAX_LINE_CHARACTERS));
    }
  }
}
