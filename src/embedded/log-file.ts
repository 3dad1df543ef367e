import { type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const MAX_BYTES = 10 * 1024 * 1024;
const TAIL_BYTES = 8 * 1024;

/** A file that takes a child's output, appended to. Past 10 MB the next start begins a new one and keeps the last as `<path>.1`. */
export class LogFile implements AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;
  #start: number;

  static async open(path: string): Promise<LogFile> {
    await mkdir(dirname(path), { recursive: true });
    const sizeBytes = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (sizeBytes > MAX_BYTES) await rename(path, `${path}.1`);
    return new LogFile(path, await open(path, 'a+', 0o600), sizeBytes > MAX_BYTES ? 0 : sizeBytes);
  }

  private constructor(path: string, handle: FileHandle, start: number) {
    this.path = path;
    this.#handle = handle;
    this.#start = start;
  }

  /** The descriptor that a child is given. */
  get fd(): number {
    return this.#handle.fd;
  }

  /** Where the output of the next child begins: `tail` shows nothing older. */
  async mark(): Promise<void> {
    this.#start = (await this.#handle.stat()).size;
  }

  /** The last 8 KiB written since `open` or `mark`, for error messages. */
  async tail(): Promise<string> {
    const { size } = await this.#handle.stat();
    const from = Math.max(this.#start, size - TAIL_BYTES);
    const buffer = Buffer.alloc(Math.max(0, size - from));
    const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, from);
    return buffer.subarray(0, bytesRead).toString().trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
