/** In seconds. Most machines are done within the first; a busy one gets as far within a later one. */
const LIMITS = [2, 8, 32];

/**
 * Runs what has to get somewhere before a time limit of its own is over, with longer limits until it got there.
 * @param run gets the limit, in seconds
 * @returns what the last run gave, be it there or not
 */
export async function inTimeEnough<T>(
  run: (seconds: number) => Promise<T>,
  hasGotThere: (result: T) => boolean,
): Promise<T> {
  const [first = 1, ...longer] = LIMITS;
  let result = await run(first);
  for (const seconds of longer) {
    if (hasGotThere(result)) break;
    result = await run(seconds);
  }
  return result;
}
