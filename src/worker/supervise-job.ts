import { workerData } from 'node:worker_threads';
import type { SuperviseTask, WrittenEnd } from './messages.ts';
import { Supervision } from './supervision.ts';
import { createSupervisorContext, type SupervisorContext } from './supervisor-context.ts';

let context: SupervisorContext | undefined;

/**
 * piscina's entry: supervises one job to its end. A thread supervises many at once; none blocks it.
 * @returns how the job ended; null when its end was another's to write
 */
export default async function superviseJob({ claim, control }: SuperviseTask): Promise<WrittenEnd | null> {
  context ??= createSupervisorContext(workerData);
  try {
    return await new Supervision(context, claim, control).run();
  } finally {
    control.close();
  }
}
