import type { TerminalStatus } from './states.ts';

/** Hears what this process does with jobs. No method may throw. */
export interface JobObserver {
  /** A job was claimed, after so many seconds in the queue. */
  claimed(queuedSeconds: number): void;
  /**
   * This process wrote a job's end. Called once for each such write.
   * @param seconds from the job's claim to its end; absent for a job that was not run here
   */
  ended(status: TerminalStatus, seconds?: number): void;
}
