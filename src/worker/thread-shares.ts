/** Supervisions that one thread carries before another is started. */
const JOBS_PER_THREAD = 64;

/** How many threads supervise jobs, and what is each one's share. */
export interface ThreadShares {
  readonly threads: number;
  /** Jobs at once, at most. */
  readonly slotsEach: number;
  /** Launchers, at most. */
  readonly launchersEach: number;
}

/**
 * Shares the platform's slots and launchers among as many threads as the slots need. A thread has launchers of its own, since
 * its starter forks from them: where there are fewer of them than threads, each has one all the same.
 * @param platform.slots 1 or more
 * @param platform.launchers 0: none in any thread
 */
export function threadShares({
  slots,
  launchers,
}: {
  readonly slots: number;
  readonly launchers: number;
}): ThreadShares {
  const threads = Math.ceil(slots / JOBS_PER_THREAD);
  const launchersEach = launchers === 0 ? 0 : Math.max(1, Math.floor(launchers / threads));
  return { threads, slotsEach: Math.ceil(slots / threads), launchersEach };
}
