import { totalmem } from 'node:os';

/** Bytes of memory that there are. A container may have less than its machine; where that is not limited, Node gives 0 or more than all. */
export function machineMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
