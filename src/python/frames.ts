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

const frame = z.union([
  z.object({ n: z.int(), t: z.number(), s: z.enum(['stdout', 'stderr']), x: z.string() }),
  z.object({ n: z.int(), t: z.number(), exit }),
]);

/** How a script ended, as the runner saw it. */
export type ExitRecord = z.infer<typeof exit>;

/** One record of a runner's spool: a line of the script, or its end. `number` counts from 1 without holes. */
export type Frame =
  | { readonly number: number; readonly at: Date; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  | { readonly number: number; readonly at: Date; readonly exit: ExitRecord };

/** Parses one line of a spool, which `python/asgard/runner.py` describes. @throws ZodError, SyntaxError */
export function parseFrame(line: string): Frame {
  const { n: number, t, ...rest } = frame.parse(JSON.parse(line));
  const at = new Date(t * 1000);
  return 'exit' in rest ? { number, at, exit: rest.exit } : { number, at, stream: rest.s, text: rest.x };
}
