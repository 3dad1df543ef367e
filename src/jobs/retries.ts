import type { TrainingJob } from '../database/generated/client.ts';
import type { TerminalStatus } from './states.ts';

/** The pause before the first retry; each further one is twice as long, up to the longest. */
const FIRST_PAUSE_SECONDS = 2;
const LONGEST_PAUSE_SECONDS = 300;

/** Whether another attempt follows one that ended so. */
export function isRetried(
  { retries, retryOn, cancelRequestedAt }: Pick<TrainingJob, 'retries' | 'retryOn' | 'cancelRequestedAt'>,
  attempt: number,
  { status, isInfrastructure = false }: { readonly status: TerminalStatus; readonly isInfrastructure?: boolean },
): boolean {
  if (attempt > retries || status === 'COMPLETED' || status === 'CANCELLED' || cancelRequestedAt !== null) return false;
  return retryOn === 'ANY' || isInfrastructure;
}

/**
 * How long to wait after an attempt, counted from 1: exponential, and up to half of it less by chance, so that jobs that
 * failed together do not come back together.
 */
export function pauseSecondsAfter(attempt: number, chance = Math.random()): number {
  const longest = Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1));
  return longest * (1 - chance / 2);
}
