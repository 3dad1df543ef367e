import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance } from 'fastify';

/** A route as a server has it: `url` is its pattern, such as `/mlops/training/jobs/:job_id`. */
export interface FoundRoute {
  readonly method: string;
  readonly url: string;
}

/**
 * Gathers the routes of every server that is built while `build` runs, in the order of the servers. Whatever adds a
 * route, wherever it is, it is here.
 */
export async function withRoutes<T>(build: () => Promise<T>): Promise<{ built: T; servers: FoundRoute[][] }> {
  const servers: FoundRoute[][] = [];
  const listen = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }; // what Fastify says of its own channel
    const routes: FoundRoute[] = [];
    servers.push(routes);
    fastify.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) routes.push({ method: each, url });
    });
  };
  subscribe('fastify.initialization', listen);
  try {
    return { built: await build(), servers };
  } finally {
    unsubscribe('fastify.initialization', listen);
  }
}
