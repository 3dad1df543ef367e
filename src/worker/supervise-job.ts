import { workerData } from 'node:worker_threads';
import type { SuperviseTask } from './messages.ts';
import { Supervision } from './supervision.ts';
import { createSupervisorContext, type SupervisorContext } from './supervisor-context.ts';

let context: SupervisorContext | undefined;

/** piscina's entry: supervises one job to its end. A thread supervises many at once; none blocks it. */
export default async function superviseJob({ claim, control }: SuperviseTask): Promise<void> {
  context ??= createSupervisorContext(workerData);
  try {
    await new Supervision(context, claim, control).run();
  } finally {
    control.close();
  }
}
