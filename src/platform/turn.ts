import { setImmediate } from 'node:timers/promises';

/** A text or list so long is work for some ten milliseconds. */
const LARGE = 200_000;

/**
 * Between two parts of a work that its size makes long: lets others have their turn. A small one goes on at once.
 * @param size characters of a text, or values of a list
 */
export async function othersTurn(size: number): Promise<void> {
  if (size >= LARGE) await setImmediate();
}
