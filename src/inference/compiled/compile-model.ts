import { join } from 'node:path';
import type { z } from 'zod';
import { PROJECT_ROOT } from '../../config.ts';
import type { RunSpec } from '../../executors/executor.ts';
import { type ProgramExecutor, runProgram } from '../../executors/run-program.ts';
import { machineMemory } from '../../platform/machine-memory.ts';
import { readUntrusted } from '../../platform/untrusted-file.ts';
import type { ExitRecord } from '../../python/frames.ts';
import { howEnded } from '../../python/how-ended.ts';
import { placedIn, type TrainingData } from '../check/training-data.ts';
import type { CompiledFile } from './compiled-store.ts';
import { MAX_FILE_BYTES } from './compiled-store.ts';
import { compiledDescription, compileReport } from './description.ts';
import type { CompileProof } from './proof.ts';

const PACKAGES = join(PROJECT_ROOT, 'python');
/** No line of it is an import statement: launchers are not to have these modules ready for scripts. */
const PROGRAM = `__import__("sys").path.append(${JSON.stringify(PACKAGES)})
__import__("asgard_compile.model_compile")
__import__("sys").modules["asgard_compile.model_compile"].main()
`;
const PROGRAM_NAME = 'model_compile.py';
const LIMIT_SECONDS = 600;
/** What then is left of the limit is for writing it down. */
const PROOF_SECONDS = 480;
const OUTPUT_LIMIT_BYTES = 64 * 1024;
const MAX_REPORT_BYTES = 8 * 2 ** 20;

export interface CompileOptions {
  readonly executor: ProgramExecutor;
  /** Of the model's environment with what compiling takes. */
  readonly environmentFolder: string;
  /** The model's files, which it may only read. */
  readonly modelFolder: string;
  readonly training: TrainingData;
  /** For how long rows beside splits may be compared; 480 unless it is given. A model for which that is too short is refused. */
  readonly proofSeconds?: number;
  readonly signal: AbortSignal;
}

/** A model in ONNX with the proof that it is the same, or why there is none, in one line. */
export type CompileResult =
  | { readonly refusal: string }
  | (CompiledFile & { readonly refusal: null; readonly proof: CompileProof });

/**
 * Has a process that is set apart like a script, without any secret, turn a model into ONNX and prove that it says the same.
 * @throws AsgardError when it could not be tried; the signal's reason
 */
export function compileModel(options: CompileOptions): Promise<CompileResult> {
  const { executor, signal } = options;
  return runProgram({
    executor,
    name: 'compile',
    spec: (folder) => runSpecOf(options, folder),
    conclude: async (folder, { exit, tail }) => (await resultIn(folder)) ?? { refusal: lost(exit, tail) },
    signal,
  });
}

function runSpecOf(options: CompileOptions, folder: string): RunSpec {
  const { environmentFolder, modelFolder, training, proofSeconds = PROOF_SECONDS } = options;
  const { files, paths } = placedIn(folder, training);
  const request = {
    model: modelFolder,
    folder,
    data_files: paths,
    memory_bytes: Math.floor(machineMemory() / 4),
    largest_file_bytes: MAX_FILE_BYTES,
    proof_seconds: proofSeconds,
  };
  return {
    scriptName: PROGRAM_NAME,
    script: PROGRAM,
    files,
    environmentFolder,
    variables: { ASGARD_MODEL_COMPILE: JSON.stringify(request) },
    timeoutSeconds: LIMIT_SECONDS,
    graceSeconds: 0,
    outputLimitBytes: OUTPUT_LIMIT_BYTES,
    readable: [modelFolder, PACKAGES],
    isSingleThreaded: true,
    isPartOfPlatform: true,
  };
}

/** What the process left, which the model's code could write too; null when it is nothing of the kind. */
async function resultIn(folder: string): Promise<CompileResult | null> {
  const report = await readUntrusted(join(folder, 'report.json'), MAX_REPORT_BYTES);
  if (report === null) return null;
  let parsed: z.infer<typeof compileReport>;
  try {
    parsed = compileReport.parse(JSON.parse(report.toString()));
  } catch {
    return { refusal: 'what its compilation left cannot be read' };
  }
  if (parsed.refusal !== null) return { refusal: parsed.refusal };
  const file = await readUntrusted(join(folder, 'model.onnx'), MAX_FILE_BYTES);
  if (file === null) return { refusal: 'its compilation left no file' };
  return { refusal: null, file, description: compiledDescription.parse(parsed), proof: parsed.proof };
}

function lost(exit: ExitRecord, tail: string): string {
  if (exit.reason === 'timed_out') return `it was not compiled within ${LIMIT_SECONDS} s`;
  const why = exit.message ?? tail.trim().split('\n').at(-1) ?? '';
  return `the process that compiled it ${howEnded(exit)}${why === '' ? '' : `: ${why}`}`;
}
