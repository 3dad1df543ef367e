import { z } from 'zod';

/** A column that a model expects; `type` is MLflow's name of it, null when only the name is known. */
const column = z.object({ name: z.string(), type: z.string().nullable() });

/** The first line of a model worker: whether its model loaded. */
export const readiness = z.discriminatedUnion('ready', [
  z.object({
    ready: z.literal(true),
    flavor: z.enum(['pickle', 'pyfunc']),
    columns: z.array(column).nullable(),
    load_seconds: z.number(),
    /** The most that the process has taken so far. */
    memory_bytes: z.number(),
  }),
  z.object({ ready: z.literal(false), error: z.string() }),
]);

const failure = z.object({
  kind: z.enum(['invalid_input', 'failed']),
  message: z.string(),
  path: z.array(z.union([z.string(), z.number()])).nullable(),
});

/** A model worker's answer to the request with the same `id`. `python/asgard/model_worker.py` describes the protocol. */
export const workerAnswer = z.union([
  z.object({
    id: z.int(),
    predictions: z.array(z.json()),
    probabilities: z.array(z.array(z.number().nullable())).nullable(),
    seconds: z.number(),
  }),
  z.object({ id: z.int(), error: failure }),
]);

export type WorkerAnswer = z.infer<typeof workerAnswer>;

/** One value of a prediction: a number, a label, or for models with several outputs a list or an object of them. */
export type PredictedValue = z.infer<ReturnType<typeof z.json>>;

/** What is asked of a model worker. `inputs: {column: value[n]}`. */
export interface WorkerRequest {
  readonly inputs: Readonly<Record<string, readonly unknown[]>>;
  readonly return_probabilities: boolean;
}
