import { type FSWatcher, watch } from 'node:fs';
import { open } from 'node:fs/promises';
import { AsgardError } from '../platform/errors.ts';
import { type Frame, parseFrame } from '../python/frames.ts';

/** Read at once; with the length of a frame it bounds what one list holds. */
const CHUNK_BYTES = 256 * 1024;
/** A file system whose changes cannot be watched is looked at this often, and so is a runner that may be gone. */
const IDLE_POLL_MS = 250;

/**
 * Follows a spool file: yields its frames in lists, each as soon as it is written whole. Ends when `isWriting` says that
 * nobody writes any more and all was read, or when `signal` aborts. A last line that was not finished is left out.
 * @throws AsgardError CONFLICT when the file is not as its runner wrote it: the script can reach it
 */
export async function* readSpool(
  path: string,
  isWriting: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<Frame[], void> {
  await using file = await open(path, 'r');
  const changes = new ChangeSignal(path, signal);
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    let rest: Buffer = Buffer.alloc(0);
    let isOver = false;
    let lastNumber = -1;
    while (!signal.aborted) {
      const changed = changes.next();
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) {
        if (isOver) return;
        await changed;
        // Read once more after the writer was seen to be gone: it may have written between the read and the look.
        isOver = !(await isWriting());
        continue;
      }
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      const end = bytes.lastIndexOf(0x0a);
      rest = bytes.subarray(end + 1);
      if (end < 0) continue;
      const frames = parse(bytes.toString('utf8', 0, end).split('\n'), lastNumber);
      lastNumber += frames.length;
      yield frames;
    }
  } finally {
    changes.stop();
  }
}

/** Frames that follow each other, and the one before them, without a hole. */
function parse(lines: readonly string[], lastNumber: number): Frame[] {
  return lines.map((line, index) => {
    const number = lastNumber + index + 1;
    const frame = tryParse(line);
    if (frame?.number === number) return frame;
    const what = `the record of what the script printed was changed from outside: line ${number} is not in its place`;
    throw new AsgardError('CONFLICT', what);
  });
}

function tryParse(line: string): Frame | undefined {
  try {
    return parseFrame(line);
  } catch {
    return undefined;
  }
}

/** Wakes when the file changes, after a while in any case, and on abort. */
class ChangeSignal {
  #wake = () => {};
  readonly #stop: () => void;

  constructor(path: string, signal: AbortSignal) {
    const wake = () => this.#wake();
    const watcher = tryWatch(path, wake);
    const timer = setInterval(wake, IDLE_POLL_MS);
    signal.addEventListener('abort', wake);
    this.#stop = () => {
      watcher?.close();
      clearInterval(timer);
      signal.removeEventListener('abort', wake);
    };
  }

  /** Taken before the read that it follows, so that a change between the two is not missed. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  stop(): void {
    this.#stop();
  }
}

/** Undefined where the system has no watch left to give; the timer serves then. */
function tryWatch(path: string, onChange: () => void): FSWatcher | undefined {
  try {
    return watch(path, { persistent: false }, onChange).on('error', () => {});
  } catch {
    return undefined;
  }
}
