import { join } from 'node:path';
import { PROJECT_ROOT } from '../../config.ts';
import type { RunSpec } from '../../executors/executor.ts';
import { type ProgramExecutor, runProgram } from '../../executors/run-program.ts';
import type { StartWarm } from '../../executors/warm-start.ts';
import { AsgardError, messageOf } from '../../platform/errors.ts';
import { machineMemory } from '../../platform/machine-memory.ts';
import type { ExitRecord } from '../../python/frames.ts';
import { howEnded } from '../../python/how-ended.ts';
import { type CheckReport, readReport } from './report.ts';
import { placedIn, type TrainingData } from './training-data.ts';

const PACKAGES = join(PROJECT_ROOT, 'python');
/** No line of it is an import statement: launchers are not to have these modules ready for scripts. */
const PROGRAM = `__import__("sys").path.append(${JSON.stringify(PACKAGES)})
__import__("asgard.model_check")
__import__("sys").path.remove(${JSON.stringify(PACKAGES)})
__import__("asgard.model_check").model_check.main()
`;
const PROGRAM_NAME = 'model_check.py';
const REPORT_NAME = 'report.json';
const OUTPUT_LIMIT_BYTES = 256 * 1024;

export interface TryOptions {
  readonly executor: ProgramExecutor;
  /** Absent: the executor alone starts it. */
  readonly startWarm?: StartWarm | undefined;
  /** Of the environment that the model was trained in. */
  readonly environmentFolder: string;
  /** The model's files, which it may only read. */
  readonly modelFolder: string;
  readonly training: TrainingData;
  /** Of the run that the model's files are an artifact of; null: a pickle among them is not wrapped. */
  readonly runId: string | null;
  /** What it gets for everything. */
  readonly limitSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * Has a clean process load a model and predict an example, as it would be served: apart from the platform like a script, without
 * any secret, in the model's own environment. A process that hangs, dies or lies makes a report too, one that refuses.
 * @throws AsgardError UNAVAILABLE when it could not be tried, for no fault of the model's; the signal's reason
 */
export async function tryModel(options: TryOptions): Promise<CheckReport> {
  const { executor, startWarm, limitSeconds, signal } = options;
  try {
    return await runProgram({
      executor,
      startWarm,
      name: 'check',
      spec: (folder) => runSpecOf(options, folder),
      conclude: async (folder, { exit, tail }) =>
        concluded(await readReport(join(folder, REPORT_NAME)), exit, tail, limitSeconds),
      signal,
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof AsgardError && cause.code === 'UNAVAILABLE') throw cause;
    throw new AsgardError('UNAVAILABLE', `the model could not be tried: ${messageOf(cause)}`, { cause });
  }
}

function runSpecOf(options: TryOptions, folder: string): RunSpec {
  const { environmentFolder, modelFolder, training, runId, limitSeconds } = options;
  const { files, paths } = placedIn(folder, training);
  const request = {
    model: modelFolder,
    report: join(folder, REPORT_NAME),
    data_files: paths,
    memory_bytes: Math.floor(machineMemory() / 2),
    run_id: runId,
  };
  return {
    scriptName: PROGRAM_NAME,
    script: PROGRAM,
    files,
    environmentFolder,
    variables: { ASGARD_MODEL_CHECK: JSON.stringify(request) },
    timeoutSeconds: limitSeconds,
    graceSeconds: 0,
    outputLimitBytes: OUTPUT_LIMIT_BYTES,
    readable: [modelFolder, PACKAGES],
    isSingleThreaded: true,
  };
}

function concluded(report: CheckReport | null, exit: ExitRecord, tail: string, limitSeconds: number): CheckReport {
  if (report?.stage === 'done') return report;
  const doing = report?.stage === 'predict' ? 'predicting an example' : 'being loaded';
  const refused = (refusal: string): CheckReport => ({ ...NOTHING, ...report, refusal, traceback: tail || null });
  switch (exit.reason) {
    case 'timed_out':
      return refused(`it was stopped while ${doing}, which took longer than ${limitSeconds} s`);
    case 'exited': {
      const why = tail.trim().split('\n').at(-1) ?? '';
      return refused(`while ${doing} its process ${howEnded(exit)}${why === '' ? '' : `: ${why}`}`);
    }
    default:
      throw new AsgardError('UNAVAILABLE', `the model could not be tried: ${exit.message ?? exit.reason}`);
  }
}

const NOTHING: CheckReport = {
  stage: 'load',
  refusal: null,
  warning: null,
  traceback: null,
  example_source: null,
  load_seconds: null,
  p50_ms: null,
  peak_memory_bytes: 0,
  signature: null,
  mlmodel: null,
  pickled_with: null,
};
