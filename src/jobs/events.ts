import { z } from 'zod';
import { ExampleSource, JobStatus } from '../database/generated/enums.ts';

const at = z.iso.datetime();
const status = z.enum(JobStatus);

/** Who says a line of a job's log. */
export const logStream = z.enum(['stdout', 'stderr', 'platform']);

const proof = z.object({ lines: z.int(), bytes: z.int(), sha256: z.string() });

/** How much output there is, and its SHA-256: of each line followed by a line feed, in UTF-8. */
export type OutputProof = Readonly<z.infer<typeof proof>>;

/**
 * How a script ended, and the proof of its output. `lines`, `bytes` and `sha256` are of all that it printed (the texts of
 * stdout and stderr events in the order of their numbers, each followed by a line feed, in UTF-8), so that a reader can prove
 * that it has all. `kept` is the same of what the output limit left; events of earlier versions, which had no limit, lack it.
 */
const scriptEnd = z.object({
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  ...proof.shape,
  kept: proof.optional(),
});

/** How a script ended, and the proof of its output. */
export type ScriptEnd = Readonly<z.infer<typeof scriptEnd>>;

/** A metric as the script logged it to MLflow; not-a-number and the infinities by MLflow's names. */
export const metricEvent = z.object({
  type: z.literal('metric'),
  at,
  runId: z.string(),
  key: z.string(),
  value: z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])]),
  step: z.int(),
});

/** Everything that happens to a job, as stored. Numbers are not part of an event: its place in the sequence gives them. */
export const jobEvent = z.discriminatedUnion('type', [
  /** A transition. `reason` says why, where there is something to say. */
  z.object({ type: z.literal('status'), at, status, attempt: z.int(), reason: z.string().optional() }),
  /** A line printed while the environment is prepared. */
  z.object({ type: z.literal('environment'), at, text: z.string() }),
  /**
   * A line of the script, as it was printed, or of the platform about the job. No line ending. A line of more than 64 KiB
   * comes in pieces: `isContinued` says that the next event of the same stream goes on with it.
   */
  z.object({
    type: z.literal('log'),
    at,
    stream: logStream,
    text: z.string(),
    isContinued: z.literal(true).optional(),
  }),
  /**
   * Lines of the script that the output limit left out, all that an attempt has: its own number is the last one's. Other
   * events between `firstSequence` and that are still there, before it.
   */
  z.object({
    type: z.literal('omitted'),
    at,
    firstSequence: z.int(),
    lines: z.int(),
    bytes: z.int(),
  }),
  metricEvent,
  /** A model version came out of the job. */
  z.object({
    type: z.literal('registration'),
    at,
    modelName: z.string(),
    version: z.string(),
    runId: z.string().nullable(),
    registeredBy: z.enum(['script', 'platform']),
  }),
  /**
   * A model version that came out of the job was tried as it would be served. `refusal` is why it cannot be; null: it can. `warning` is
   * why it predicted nothing, where it is served all the same.
   */
  z.object({
    type: z.literal('check'),
    at,
    modelName: z.string(),
    version: z.string(),
    refusal: z.string().nullable(),
    // Older events have none.
    warning: z.string().nullable().default(null),
    exampleSource: z.enum(ExampleSource).nullable(),
    loadSeconds: z.number().nullable(),
    p50Ms: z.number().nullable(),
    peakMemoryBytes: z.number().nullable(),
  }),
  /** An attempt has ended, and another follows. Of its output this is the proof, as the last event is of the last attempt's. */
  z.object({ type: z.literal('attempt'), at, attempt: z.int(), status, error: z.string(), ...scriptEnd.shape }),
  /** Always the last event; its proof is of the last attempt's output, which is what came after the last 'attempt'. */
  z.object({ type: z.literal('end'), at, status, ...scriptEnd.shape }),
]);

export type MetricEvent = z.infer<typeof metricEvent>;
export type JobEvent = z.infer<typeof jobEvent>;
export type JobEventType = JobEvent['type'];
export type NumberedJobEvent = JobEvent & { readonly sequence: number };
