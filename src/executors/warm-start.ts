import { setTimeout as delay } from 'node:timers/promises';
import type { RunHandle, RunSpec } from './executor.ts';
import type { LocalExecutor } from './local.ts';

/** To fork takes milliseconds; whoever is asked for it may be busy. */
const WARM_START_MS = 2_000;

/** Starts a reserved execution from a warm process of somebody's, if there is one. @returns whether it did */
export type StartWarm = (task: { readonly handle: RunHandle; readonly spec: RunSpec }) => Promise<boolean>;

/**
 * Starts a reserved execution from a warm process, or else cold. Should a warm start that took too long come all the same, the
 * spool, which takes one run only, ends the later one.
 * @param startWarm absent: the executor alone starts it
 */
export async function submitWarmOrCold(
  executor: Pick<LocalExecutor, 'submit'>,
  startWarm: StartWarm | undefined,
  handle: RunHandle,
  spec: RunSpec,
): Promise<void> {
  const late = delay(WARM_START_MS, false, { ref: false });
  const isStarted = startWarm !== undefined && (await Promise.race([startWarm({ handle, spec }), late]));
  if (!isStarted) await executor.submit(handle, spec);
}
