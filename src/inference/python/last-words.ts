import type { RunHandle } from '../../executors/executor.ts';
import type { LocalExecutor } from '../../executors/local.ts';

const TAIL_LENGTH = 4000;

/** @returns one line for how a model process ended, once it has: its last line on standard error, else its exit. */
export async function lastWords(
  executor: Pick<LocalExecutor, 'frames'>,
  handle: RunHandle,
  signal: AbortSignal,
): Promise<string> {
  let tail = '';
  try {
    for await (const frames of executor.frames(handle, 0, signal)) {
      for (const frame of frames) {
        if ('stream' in frame && frame.stream === 'stderr') tail = `${tail}\n${frame.text}`.slice(-TAIL_LENGTH);
        if (!('exit' in frame)) continue;
        const { code, signal: killedBy, message } = frame.exit;
        const how = killedBy === null ? `exit code ${code ?? 'unknown'}` : killedBy;
        return [how, message ?? lastLineOf(tail)].filter((text) => text !== '').join(': ');
      }
    }
  } catch {
    signal.throwIfAborted();
    // Its runner was killed: what it wrote until then is all there is.
  }
  return lastLineOf(tail);
}

function lastLineOf(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
