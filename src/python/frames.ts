import { z } from 'zod';

/** The exit record that closes a spool. `lines`, `bytes` and `sha256` are over each line's text followed by a line feed. */
const exit = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  reason: z.enum(['exited', 'timed_out', 'cancelled', 'start_failed', 'output_lost']),
  message: z.string().nullable(),
  lines: z.int(),
  bytes: z.int(),
  sha256: z.string(),
});

/** The first record of a spool: which process writes it. */
const start = z.object({ pid: z.int(), identity: z.string() });

const frame = z.union([
  z.object({ n: z.literal(0), t: z.number(), start }),
  z.object({ n: z.int(), t: z.number(), s: z.enum(['stdout', 'stderr']), x: z.string() }),
  z.object({ n: z.int(), t: z.number(), exit }),
]);

/** How a script ended, as the runner saw it. */
export type ExitRecord = z.infer<typeof exit>;

/** The runner: a pid alone may have passed to another process, so its identity tells it apart (`identityOfProcess`). */
export type StartRecord = z.infer<typeof start>;

/**
 * One record of a runner's spool: which runner writes it (number 0), a line of the script, or its end. Lines count from 1
 * without holes.
 */
export type Frame =
  | { readonly number: 0; readonly at: Date; readonly start: StartRecord }
  | { readonly number: number; readonly at: Date; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | { readonly number: number; readonly at: Date; readonly exit: ExitRecord };

/** Parses one line of a spool, which `python/asgard/runner.py` describes. @throws ZodError, SyntaxError */
export function parseFrame(line: string): Frame {
  const { n: number, t, ...rest } = frame.parse(JSON.parse(line));
  const at = new Date(t * 1000);
  if ('start' in rest) return { number: 0, at, start: rest.start };
  return 'exit' in rest ? { number, at, exit: rest.exit } : { number, at, stream: rest.s, text: rest.x };
}
