import type { Worker } from '../../src/jobs/queue.ts';

/** A worker of tests that run nothing: each on the same machine, in a place of its own. */
export function workerNamed(id: string, changes: Partial<Worker> = {}): Worker {
  const place = changes.place ?? `/place/${id}`;
  return { id, machine: 'machine', place, placeId: place, ...changes };
}
