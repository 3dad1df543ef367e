import { JobStatus } from '../database/generated/enums.ts';

/** The statuses that a job moves to from each one. A status with none is terminal: it is written once. */
const MOVES: Record<JobStatus, readonly JobStatus[]> = {
  QUEUED: ['PREPARING', 'CANCELLED'],
  PREPARING: ['RUNNING', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST', 'QUEUED'],
  RUNNING: ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST', 'QUEUED'],
  COMPLETED: [],
  FAILED: [],
  CANCELLED: [],
  TIMED_OUT: [],
  LOST: [],
};

export type TerminalStatus = Extract<JobStatus, 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TIMED_OUT' | 'LOST'>;

/** Whether a job with this status has ended for good. */
export function isTerminal(status: JobStatus): status is TerminalStatus {
  return MOVES[status].length === 0;
}

/** The statuses from which a job may move to `target`: the guard of every write of a status. */
export function sourcesOf(target: JobStatus): JobStatus[] {
  return Object.values(JobStatus).filter((status) => MOVES[status].includes(target));
}
