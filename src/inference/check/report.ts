import { z } from 'zod';
import { ExampleSource } from '../../database/generated/enums.ts';
import { readUntrusted } from '../../platform/untrusted-file.ts';

/** A report of an honest model has a traceback, a signature and an MLmodel in it. */
const MAX_BYTES = 1024 * 1024;

const seconds = z.number().nonnegative().nullable();

/** What the process that tries a model writes down; `python/asgard/model_check.py` describes it. */
const checkReport = z.object({
  stage: z.enum(['load', 'predict', 'done']),
  refusal: z.string().min(1).nullable(),
  warning: z.string().min(1).nullable(),
  traceback: z.string().nullable(),
  example_source: z.enum(ExampleSource).nullable(),
  load_seconds: seconds,
  p50_ms: seconds,
  peak_memory_bytes: z.number().nonnegative(),
  signature: z.record(z.string(), z.string()).nullable(),
  mlmodel: z.string().nullable(),
  pickled_with: z.enum(['pickle', 'joblib']).nullable(),
});

export type CheckReport = z.infer<typeof checkReport>;

/**
 * Reads the report in a folder that a model's code can write to: whatever is there instead of a report is none.
 * @returns null when there is none
 */
export async function readReport(path: string): Promise<CheckReport | null> {
  const file = await readUntrusted(path, MAX_BYTES);
  if (file === null) return null;
  try {
    return checkReport.parse(JSON.parse(file.toString()));
  } catch {
    return null;
  }
}
