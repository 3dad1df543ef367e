import type { FastifyRequest } from 'fastify';
import { type Refusal, rateLimited } from '../auth/refusal.ts';

/** Connections that one client, by its address, may hold open: a page holds one, a program that follows jobs too. */
const MAX_HELD = 1_000;
const RETRY_SECONDS = 10;

/** Counts the sockets and event streams that each client holds open. */
export class HeldOpen {
  readonly #counts = new Map<string, number>();

  /** @returns what to call, once, when it is closed; undefined when the client holds too many already */
  take(client: string): (() => void) | undefined {
    const count = (this.#counts.get(client) ?? 0) + 1;
    if (count > MAX_HELD) return undefined;
    this.#counts.set(client, count);
    return () => {
      const left = (this.#counts.get(client) ?? 1) - 1;
      if (left > 0) this.#counts.set(client, left);
      else this.#counts.delete(client);
    };
  }
}

/** Why a client has to close some first. */
export function tooManyHeld({ ip }: FastifyRequest): Refusal {
  return rateLimited(`${ip} holds ${MAX_HELD} sockets and streams open, the most that a client may`, RETRY_SECONDS);
}
