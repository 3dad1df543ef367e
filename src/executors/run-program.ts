import { randomUUID } from 'node:crypto';
import type { ExitRecord } from '../python/frames.ts';
import type { RunHandle, RunSpec } from './executor.ts';
import type { LocalExecutor } from './local.ts';
import { type StartWarm, submitWarmOrCold } from './warm-start.ts';

const MAX_TAIL = 4_000;

/** Where programs of the platform's own are run. */
export type ProgramExecutor = Pick<
  LocalExecutor,
  'place' | 'reserve' | 'submit' | 'frames' | 'forget' | 'workFolderOf'
>;

/** How a program ended. */
interface ProgramEnd {
  readonly exit: ExitRecord;
  /** The last that it wrote to standard error. */
  readonly tail: string;
}

/**
 * Runs a program of the platform's own, which runs code of a user's, as a script is run: apart. What it leaves in its working
 * folder is there until `conclude` is done.
 * @param options.name the first word of the execution's name
 * @param options.spec of the program, whose working folder is given
 * @throws RunnerLostError; what the executor or `conclude` throws; the signal's reason
 */
export async function runProgram<T>(options: {
  readonly executor: ProgramExecutor;
  readonly name: string;
  /** Absent: the executor alone starts it. */
  readonly startWarm?: StartWarm | undefined;
  readonly spec: (folder: string) => RunSpec;
  readonly conclude: (folder: string, end: ProgramEnd) => Promise<T>;
  readonly signal: AbortSignal;
}): Promise<T> {
  const { executor, startWarm, name, spec, conclude, signal } = options;
  const handle: RunHandle = { jobId: `${name}-${randomUUID()}`, attempt: 1, place: executor.place };
  try {
    await executor.reserve(handle);
    signal.throwIfAborted();
    const folder = executor.workFolderOf(handle);
    await submitWarmOrCold(executor, startWarm, handle, spec(folder));
    return await conclude(folder, await endOf(executor, handle, signal));
  } finally {
    await executor.forget(handle);
  }
}

async function endOf(executor: ProgramExecutor, handle: RunHandle, signal: AbortSignal): Promise<ProgramEnd> {
  let tail = '';
  for await (const frames of executor.frames(handle, 0, signal)) {
    for (const frame of frames) {
      if ('stream' in frame && frame.stream === 'stderr') tail = `${tail}${frame.text}\n`.slice(-MAX_TAIL);
      if ('exit' in frame) return { exit: frame.exit, tail };
    }
  }
  throw new Error('the program left no exit record');
}
