import { join } from 'node:path';
import { PROJECT_ROOT } from '../config.ts';
import { AsgardError } from '../platform/errors.ts';
import { ChildProcess } from '../platform/process.ts';
import { uvVariables } from './script-environment.ts';

const PROGRAM = join(PROJECT_ROOT, 'python', 'asgard', 'run_uv.py');
/** How long one run may take when the caller's signal does not end it earlier. */
const LIMIT_MS = 30 * 60_000;
/** uv's own word for a failure that is not the requirements': an index that cannot be reached, a full disk. */
const EXIT_OTHER = 2;

export interface UvOptions {
  /** What is being done, for the error: "could not …". */
  readonly task: string;
  /** Called for each line that it prints. */
  readonly onLine?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Beside those that uv gets always. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** uv failed; the message ends with its own last line. */
export class UvError extends AsgardError {
  /** Whether it says nothing of the requirements: trying again later may help. */
  readonly isPassing: boolean;

  constructor(message: string, isPassing: boolean) {
    super(isPassing ? 'UNAVAILABLE' : 'INVALID_INPUT', message);
    this.name = 'UvError';
    this.isPassing = isPassing;
  }
}

/**
 * Runs uv of an environment to its end; it ends with this thread.
 * @param python the interpreter of that environment
 * @throws UvError; the signal's reason
 */
export async function runUv(python: string, args: readonly string[], options: UvOptions): Promise<void> {
  const { task, onLine, signal, variables } = options;
  const limit = AbortSignal.any([AbortSignal.timeout(LIMIT_MS), ...(signal === undefined ? [] : [signal])]);
  limit.throwIfAborted();
  await using uv = await ChildProcess.start({
    argv: [python, PROGRAM, ...args],
    env: { ...uvVariables(), ...variables },
    ...(onLine === undefined ? {} : { onLine: (_stream: string, line: string) => isTold(line) && onLine(line) }),
  });
  const stop = () => void uv.terminate({ graceMs: 1000 });
  limit.addEventListener('abort', stop);
  try {
    const { code } = await uv.exited;
    limit.throwIfAborted();
    if (code !== 0) throw new UvError(`could not ${task}: ${reasonIn(uv.tail)}`, code === EXIT_OTHER);
  } finally {
    limit.removeEventListener('abort', stop);
  }
}

/** uv names the folder that is being built, under a name that it soon has no more. */
function isTold(line: string): boolean {
  return !line.startsWith('Using Python ');
}

function reasonIn(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.at(-1)?.trim() ?? 'uv said nothing';
}
