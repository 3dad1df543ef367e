import type { FastifyInstance } from 'fastify';
import { Histogram } from 'prom-client';
import type { Registry } from '../platform/metrics.ts';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** They are set to 0 with the first request of a route, so that the first failure shows as a rise. */
const USUAL = ['2xx', '4xx', '5xx'];

/**
 * Makes a hook that measures every request of a server by its route's template, never by its path. Streams of events are left
 * out: how long one lasts is its reader's choice.
 */
export function httpMetrics(registry: Registry): (app: FastifyInstance) => void {
  const seen = new Set<string>();
  const durations = new Histogram({
    name: 'mlops_http_request_duration_seconds',
    help: 'Time to answer an HTTP request, by route template and class of status.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers: [registry],
  });
  return (app) => {
    app.addHook('onResponse', async (request, reply) => {
      if (String(reply.getHeader('content-type')).startsWith('text/event-stream')) return;
      const method = METHODS.has(request.method) ? request.method : 'other';
      const route = request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown');
      const key = `${method} ${route}`;
      if (!seen.has(key)) for (const status of USUAL) durations.zero({ method, route, status });
      seen.add(key);
      const status = `${Math.floor(reply.statusCode / 100)}xx`;
      durations.observe({ method, route, status }, reply.elapsedTime / 1000);
    });
  };
}
