import { setTimeout as delay } from 'node:timers/promises';
import { AsgardError } from '../platform/errors.ts';
import { identityOfProcess } from '../platform/process-identity.ts';

const POLL_MS = 20;

/**
 * Ends a process that an earlier Asgard started and left behind. Each signal is sent in turn until the process is gone.
 * @param isGroup signals go to the whole process group that the process leads
 * @throws AsgardError `UNAVAILABLE` when it survives the last one
 */
export async function endLeftover(
  pid: number,
  steps: readonly { readonly signal: NodeJS.Signals; readonly waitMs: number }[],
  isGroup = false,
): Promise<void> {
  const identity = identityOfProcess(pid);
  if (identity === null) return;
  for (const { signal, waitMs } of steps) {
    send(isGroup ? -pid : pid, signal);
    const deadline = Date.now() + waitMs;
    while (Date.now() < deadline) {
      if (identityOfProcess(pid) !== identity) return;
      await delay(POLL_MS);
    }
  }
  throw new AsgardError(
    'UNAVAILABLE',
    `process ${pid}, left behind by an earlier Asgard, does not end; end it and start again`,
  );
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch {
    // It ended by itself, which the caller's next look shows.
  }
}
