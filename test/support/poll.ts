import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;
/** Against what hangs, below the time that a test has: what was seen last tells more than that the time is over. */
const LIMIT_MS = 90_000;

/** Looks until what it sees is as wished, and gives that. @throws with what it saw last when the time is over */
export async function poll<T>(
  look: () => T | Promise<T>,
  isWished: (seen: T) => boolean,
  limitMs = LIMIT_MS,
): Promise<T> {
  for (const deadline = Date.now() + limitMs; ; await delay(POLL_MS)) {
    const seen = await look();
    if (isWished(seen)) return seen;
    if (Date.now() > deadline) throw new Error(`not as wished within ${limitMs} ms: ${JSON.stringify(seen)}`);
  }
}
