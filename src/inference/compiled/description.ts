import { z } from 'zod';
import { compileProof } from './proof.ts';

const column = z.object({
  /** Of a request's column; where a model knows no names, of its place. */
  name: z.string(),
  /** MLflow's name of it; null when none is known. */
  type: z.string().nullable(),
  kind: z.enum(['number', 'text']),
  /** All that it may hold; null: anything of its kind. */
  values: z.array(z.json()).nullable(),
});

/** An input of the ONNX file, `[rows, columns]`; `columns` are numbers of the request's columns. */
const onnxInput = z.object({
  name: z.string(),
  kind: z.enum(['number', 'text']),
  columns: z.array(z.int().nonnegative()).min(1),
});

const numbers = z.array(z.array(z.number()));

/** How a compiled model is asked; `python/asgard_compile/model_compile.py` writes it. */
export const compiledDescription = z
  .object({
    layout: z.object({ columns: z.array(column).min(1), has_names: z.boolean(), inputs: z.array(onnxInput).min(1) }),
    outputs: z.object({
      predictions: z.string(),
      probabilities: z.string().nullable(),
      as: z.enum(['int', 'bool', 'float', 'text']),
    }),
    /** Rows, and what the original says of them. */
    sample: z.object({
      inputs: z.record(z.string(), z.array(z.json())),
      predictions: z.array(z.union([z.number(), z.boolean(), z.string()])).min(1),
      probabilities: numbers.nullable(),
    }),
  })
  .refine(({ layout: { columns, inputs } }) =>
    inputs.every((input) => input.columns.every((at) => columns[at]?.kind === input.kind)),
  );

export type CompiledDescription = z.infer<typeof compiledDescription>;
export type CompiledColumn = z.infer<typeof column>;

/** What compiling a model came to. */
export const compileReport = z.union([
  z.object({ refusal: z.string().min(1) }),
  z.intersection(z.object({ refusal: z.null(), proof: compileProof }), compiledDescription),
]);
