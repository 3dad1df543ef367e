import { z } from 'zod';

/** The exit record that closes a spool. `lines`, `bytes` and `sha256` are over each line's text followed by a line feed. */
const exit = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  reason: z.enum(['exited', 'timed_out', 'cancelled', 'start_failed', 'output_lost']),
  message: z.string().nullable(),
  max_rss_bytes: z.int(),
  cpu_seconds: z.number(),
  lines: z.int(),
  bytes: z.int(),
  sha256: z.string(),
});

/** The first record of a spool: which process writes it. */
const start = z.object({ pid: z.int(), identity: z.string() });

const at = { n: z.int(), t: z.number() };

const line = z.object({ ...at, s: z.enum(['stdout', 'stderr']), x: z.string(), p: z.literal(true).optional() });

const frame = z.union([
  line,
  z.object({ ...at, exit }),
  z.object({ ...at, bytes: z.int() }),
  z.object({ ...at, n: z.literal(0), start }),
]);

/** The last line of a file of a spool that goes on in another: the number of that one's first frame. */
const end = z.object({ next: z.int() });

/** How a script ended, as the runner saw it. */
export type ExitRecord = z.infer<typeof exit>;

/** The runner: a pid alone may have passed to another process, so its identity tells it apart (`identityOfProcess`). */
export type StartRecord = z.infer<typeof start>;

/** One record of a runner's spool. Lines count from 1 without holes. */
export type Frame = {
  readonly number: number;
  readonly at: Date;
} & (
  | StartFrame
  | LineFrame
  | GapFrame
  /** How the script ended: the last frame. */
  | { readonly exit: ExitRecord }
);

/** Which runner writes the spool: number 0. */
interface StartFrame {
  readonly start: StartRecord;
}

/** A line of the script, without its ending, or a part of one that goes on in the stream's next frame. */
interface LineFrame {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  readonly isContinued: boolean;
}

/** The lines from the reader's last one to this number are gone; `totalBytes` of output are in all up to it. */
interface GapFrame {
  readonly totalBytes: number;
}

/** Parses one line of a spool, which `python/asgard/runner.py` describes. @throws ZodError, SyntaxError */
export function parseFrame(text: string): Frame {
  const record: unknown = JSON.parse(text);
  if (isLine(record)) return lineFrame(record);
  const parsed = frame.parse(record);
  if ('x' in parsed) return lineFrame(parsed);
  const { n: number, t, ...rest } = parsed;
  const at = new Date(t * 1000);
  if ('bytes' in rest) return { number, at, totalBytes: rest.bytes };
  return { number, at, ...rest };
}

function lineFrame({ n: number, t, s: stream, x: text, p }: z.infer<typeof line>): Frame {
  return { number, at: new Date(t * 1000), stream, text, isContinued: p === true };
}

/** What `line` says, in a tenth of the time: a script prints many. */
function isLine(record: unknown): record is z.infer<typeof line> {
  if (
    typeof record !== 'object' ||
    record === null ||
    !('x' in record && 's' in record && 'n' in record && 't' in record)
  ) {
    return false;
  }
  const { n, t, s, x } = record;
  const isKnown = s === 'stdout' || s === 'stderr';
  return isKnown && typeof x === 'string' && Number.isSafeInteger(n) && typeof t === 'number' && !('p' in record);
}

/** The number of the first frame in the next file, when a line of a spool is no frame but the end of its file. */
export function parseNext(line: string): number | undefined {
  return line.startsWith('{"next":') ? end.parse(JSON.parse(line)).next : undefined;
}
