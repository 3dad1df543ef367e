import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Refusal, rateLimited } from '../auth/refusal.ts';
import { replyRefused } from './error-replies.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route's answers last as long as their readers like: these are counted. */
    readonly isStream?: boolean;
  }
}

/** Connections that one client, by its address, may hold open: a page holds one, a program that follows jobs too. */
const MAX_HELD = 1_000;
const RETRY_SECONDS = 10;

/** Counts the sockets and event streams that each client holds open. */
export class HeldOpen {
  readonly #counts = new Map<string, number>();

  /** Counts the answers of routes that say `isStream`. To be called after the guard is there, before such routes are added. */
  countStreams(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      if (request.routeOptions.config?.isStream !== true) return undefined;
      const release = this.take(request.ip);
      if (release === undefined) return replyRefused(request, reply, tooManyHeld(request));
      onceClosed(reply, release);
      return undefined;
    });
  }

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

/** Also when who asked has left already. */
export function onceClosed({ raw }: FastifyReply, end: () => void): void {
  if (raw.destroyed) end();
  else raw.once('close', end);
}

/** Why a client has to close some first. */
export function tooManyHeld({ ip }: FastifyRequest): Refusal {
  return rateLimited(`${ip} holds ${MAX_HELD} sockets and streams open, the most that a client may`, RETRY_SECONDS);
}
