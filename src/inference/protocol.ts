import { z } from 'zod';

/** A column that a model expects; `type` is MLflow's name of it, null when only the name is known. */
const column = z.object({ name: z.string(), type: z.string().nullable() });

/** The first line of a model process: whether its model loaded. */
export const readiness = z.discriminatedUnion('ready', [
  z.object({
    ready: z.literal(true),
    flavor: z.enum(['pickle', 'pyfunc']),
    columns: z.array(column).nullable(),
    /** Whether each row's prediction depends on that row alone, so that requests may be merged. */
    is_row_wise: z.boolean(),
    load_seconds: z.number(),
  }),
  z.object({ ready: z.literal(false), error: z.string() }),
]);

/** A model that loaded. */
export type Ready = Extract<z.infer<typeof readiness>, { ready: true }>;

/**
 * One value of a prediction: a number, a label, or for models with several outputs a list or an object of them. A whole number
 * beyond 2^53 is what `parseExactJson` makes of it.
 */
export type PredictedValue = z.infer<ReturnType<typeof z.json>>;

/** What came out of `JSON.parse` is such a value, and there may be hundred thousands: they are not looked at one by one. */
const values = z.custom<PredictedValue[]>(Array.isArray, 'must be a list');

const probabilities = z.custom<(number | null)[][]>(
  (rows) => Array.isArray(rows) && rows.every((row) => Array.isArray(row) && row.every(isProbability)),
  'must be a list of lists of numbers',
);

function isProbability(value: unknown): boolean {
  return typeof value === 'number' || value === null;
}

const failure = z.object({
  kind: z.enum(['invalid_input', 'failed']),
  message: z.string(),
  path: z.array(z.union([z.string(), z.number()])).nullable(),
});

const answer = z.union([
  z.object({ predictions: values, probabilities: probabilities.nullable() }),
  z.object({ error: failure }),
]);

/** A model process's answers to a batch, in its order. `python/asgard/model_process.py` describes the protocol. */
export const batchAnswer = z.array(answer);

/** The answer to one request. */
export type ProcessAnswer = z.infer<typeof answer>;

/** What is asked of a model. `inputs: {column: value[n]}`. */
export interface WorkerRequest {
  readonly inputs: Readonly<Record<string, readonly unknown[]>>;
  readonly return_probabilities: boolean;
}
