import { isPortFree } from './processes.ts';

/** Below those that systems give to whoever names none. */
const [FIRST, LAST] = [10_000, 32_000];
const given = new Set<number>();

/**
 * A port of 127.0.0.1 on which nothing listens, and which the system gives to nobody who asks for any: it is free until the one
 * who is to have it comes, and again when that one comes back.
 */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (given.has(port)) continue; // nobody need listen there yet
    given.add(port);
    if (await isPortFree(port)) return port;
  }
}
