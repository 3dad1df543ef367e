import { workerData } from 'node:worker_threads';
import type { SuperviseTask, SupervisorSettings, WarmStartTask, WarmUpTask, WrittenEnd } from './messages.ts';
import { Supervision } from './supervision.ts';
import { createSupervisorContext } from './supervisor-context.ts';
import { warmUp, warmUpForFeatures } from './warm-up.ts';

const settings: SupervisorSettings = workerData;
const context = createSupervisorContext(settings);

/**
 * piscina's entry: supervises one job to its end. A thread supervises many at once; none blocks it.
 * @returns how the job ended; null when its end was another's to write
 */
export default async function superviseJob({ claim, control }: SuperviseTask): Promise<WrittenEnd | null> {
  try {
    return await new Supervision(context, claim, control).run();
  } finally {
    control.close();
  }
}

/** piscina's second entry. @returns whether it was started; else whoever asks starts it cold */
export function startWarm({ handle, spec }: WarmStartTask): Promise<boolean> {
  return context.executor.submitWarm(handle, spec);
}

/** piscina's third entry. Goes on behind the call: it waits for MLflow, and for a feature view. */
export function warm({ environmentFolder }: WarmUpTask): void {
  void warmUp(context, environmentFolder).then(() => warmUpForFeatures(context));
}
