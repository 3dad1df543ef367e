import { freePort } from '../../src/platform/process.ts';

const given = new Set<number>();

/**
 * A port of 127.0.0.1 on which nothing listens, and which the system gives to nobody who asks for any: it is free until the one
 * who is to have it comes, and again when that one comes back.
 */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (given.has(port)) continue; // nobody need listen there yet
    given.add(port);
    return port;
  }
}
