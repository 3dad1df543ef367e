import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { AsgardError, isSystemError } from '../platform/errors.ts';
import { type Frame, parseFrame, parseNext } from '../python/frames.ts';

/** Read at once, which bounds what one list holds; of a longer frame as much as it has. */
const CHUNK_BYTES = 256 * 1024;
/** No runner writes a longer frame: 64 KiB of text, each byte of which may take six. */
const MAX_FRAME_BYTES = 1024 * 1024;
/** A file system whose changes cannot be watched is looked at this often, and so is a runner that may be gone. */
const IDLE_POLL_MS = 250;
/** The first file's first line of output: `<path>` itself, which has the frame of its writer before it. */
const HEAD = 1;

/**
 * Follows a spool: yields its frames with numbers above `after` in lists, each as soon as it is written whole. Ends when
 * `isWriting` says that nobody writes any more and all was read, or when `signal` aborts. A last line that was not finished is
 * left out. Where the runner has removed lines that were not read yet, a frame with `totalBytes` stands for them.
 * @param path its first file; `python/asgard/segments.py` describes the others
 * @throws AsgardError CONFLICT when a file is not as its runner wrote it: the script can reach it
 */
export async function* readSpool(
  path: string,
  after: number,
  isWriting: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<Frame[], void> {
  const changes = new ChangeSignal(dirname(path), signal);
  let buffer = Buffer.alloc(CHUNK_BYTES);
  let first: number | undefined = await firstToRead(path, after);
  let lastNumber = after;
  let isOver = false;
  try {
    while (first !== undefined) {
      const opened: SpoolFile = await openFile(path, first);
      await using file = opened.file;
      // The line before the first frame says who writes, or what was written before this file.
      let expected = opened.first - 1;
      // Where the first line begins that was not read whole. It is read from there again: on a full disk a runner takes back what it has
      // written of one, and writes another in its place.
      let position = 0;
      first = undefined;
      while (first === undefined) {
        if (signal.aborted) return;
        const changed = changes.next();
        const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
        const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a);
        if (end < 0 && bytesRead === buffer.length) {
          if (bytesRead > MAX_FRAME_BYTES) throw changedOutside(expected);
          buffer = Buffer.alloc(buffer.length * 2);
          continue;
        }
        if (end < 0) {
          if (isOver) return;
          await changed;
          // Read once more after the writer was seen to be gone: it may have written between the read and the look.
          isOver = !(await isWriting());
          continue;
        }
        position += end + 1;
        const lines = buffer.toString('utf8', 0, end).split('\n');
        first = parseNext(lines.at(-1) ?? '');
        const frames = parse(first === undefined ? lines : lines.slice(0, -1), expected);
        expected += frames.length;
        const news = frames.filter(({ number }) => number > lastNumber);
        lastNumber = news.at(-1)?.number ?? lastNumber;
        if (news.length > 0) yield news;
      }
    }
  } finally {
    changes.stop();
  }
}

/** A file of a spool, and the number of its first frame. */
interface SpoolFile {
  readonly file: FileHandle;
  readonly first: number;
}

/** The file that begins with this frame or, when it was removed meanwhile, the next that is there. */
async function openFile(path: string, first: number): Promise<SpoolFile> {
  for (;;) {
    try {
      return { file: await open(nameOf(path, first), 'r'), first };
    } catch (error) {
      if (first === HEAD || !isSystemError(error, 'ENOENT')) throw error;
      const later = (await segmentsOf(path)).find((number) => number > first);
      // The one that is being written is never removed.
      if (later === undefined) throw changedOutside(first);
      first = later;
    }
  }
}

/** The first frame of the file to begin with. */
async function firstToRead(path: string, after: number): Promise<number> {
  return (await segmentsOf(path)).findLast((first) => first <= after + 1) ?? HEAD;
}

/** The first frames of all files but the head, in order. */
async function segmentsOf(path: string): Promise<number[]> {
  const prefix = `${basename(path)}.`;
  const names = (await readdir(dirname(path))).filter((name) => name.startsWith(prefix));
  return names
    .map((name) => Number(name.slice(prefix.length)))
    .filter(Number.isSafeInteger)
    .toSorted((one, other) => one - other);
}

function nameOf(path: string, first: number): string {
  return first === HEAD ? path : `${path}.${first}`;
}

/** Frames that follow each other without a hole, the first with the number `expected`. */
function parse(lines: readonly string[], expected: number): Frame[] {
  return lines.map((line, index) => {
    const frame = tryParse(line);
    if (frame?.number === expected + index) return frame;
    throw changedOutside(expected + index);
  });
}

function changedOutside(number: number): AsgardError {
  const what = `the record of what the script printed was changed from outside: line ${number} is not in its place`;
  return new AsgardError('CONFLICT', what);
}

function tryParse(line: string): Frame | undefined {
  try {
    return parseFrame(line);
  } catch {
    return undefined;
  }
}

/** Wakes when a file in the folder changes, after a while in any case, and on abort. */
class ChangeSignal {
  #wake = () => {};
  readonly #stop: () => void;

  constructor(folder: string, signal: AbortSignal) {
    const wake = () => this.#wake();
    const watcher = tryWatch(folder, wake);
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
function tryWatch(folder: string, onChange: () => void): FSWatcher | undefined {
  try {
    return watch(folder, { persistent: false }, onChange).on('error', () => {});
  } catch {
    return undefined;
  }
}
