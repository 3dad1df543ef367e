import { z } from 'zod';
import type { ServableVersion } from '../../database/generated/client.ts';

/** Where rows that were compared are from. */
export const PROOF_SOURCES = ['example', 'training', 'generated', 'splits'] as const;
export type ProofSource = (typeof PROOF_SOURCES)[number];

const MAX_PACKAGES = 20;

/** How it was made sure that a compiled model says the same as the original; `python/asgard_compile/model_compile.py` writes it. */
export const compileProof = z.object({
  /** How many rows were compared; what there was none of is left out. */
  rows: z.partialRecord(z.enum(PROOF_SOURCES), z.int().nonnegative()),
  /** Of the model's trees, and how many of them rows to either side were compared for. */
  splits: z.int().nonnegative(),
  splits_tested: z.int().nonnegative(),
  /** Between two numbers, as a part of the larger. */
  largest_difference: z.number().nonnegative(),
  /** What it might have been. */
  tolerance: z.number().positive(),
  /** Of the packages that compiled it. */
  versions: z
    .record(z.string().max(50), z.string().max(50))
    .refine((versions) => Object.keys(versions).length <= MAX_PACKAGES, 'are too many'),
  /** Of the ONNX file. */
  sha256: z.string().max(64),
  size_bytes: z.int().nonnegative(),
  /** Of compiling and comparing. */
  seconds: z.number().nonnegative(),
  /** With the making of the environment for it. */
  all_seconds: z.number().nonnegative().optional(),
});

export type CompileProof = z.infer<typeof compileProof>;

/** What is recorded of the compilation of a version that is served. */
export interface Compilation {
  readonly status: ServableVersion['compileStatus'];
  /** Why it was not compiled. */
  readonly refusal: string | null;
  readonly proof: CompileProof | null;
}

/** Null of a version that did not pass its check: such a one is not compiled. */
export function compilationOf(record: ServableVersion | null): Compilation | null {
  if (record?.status !== 'SERVABLE') return null;
  const proof = compileProof.safeParse(record.proof);
  const { compileStatus: status, compileRefusal: refusal } = record;
  return { status, refusal, proof: proof.data ?? null };
}
