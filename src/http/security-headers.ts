import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import helmet, { type HelmetOptions } from 'helmet';

/**
 * Pages of other origins may not show ours within theirs, nor load what is ours. Everything else that a page may do is
 * left to the pages, most of which are MLflow's and GraphiQL's; TLS, and so HSTS, to the proxy that speaks it.
 */
const OPTIONS: HelmetOptions = {
  // Below stands the one thing that holds for all pages; helmet knows no policy without a default.
  contentSecurityPolicy: false,
  strictTransportSecurity: false,
  // Not `no-referrer`, with which a browser sends `Origin: null` with a form of our own page.
  referrerPolicy: { policy: 'same-origin' },
};

/**
 * Has every answer of a server bear helmet's headers. They are the same for all, so helmet is asked once: for each request it
 * would put its options together anew, and set each header on Node's response, which then takes the slow way to write its head.
 */
export function sendSecurityHeaders(app: FastifyInstance): void {
  const headers = headersOf(OPTIONS);
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    done();
  });
}

function headersOf(options: HelmetOptions): Record<string, string> {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  helmet(options)(request, response, () => {});
  const entries = Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)] as const);
  return { ...Object.fromEntries(entries), 'content-security-policy': "frame-ancestors 'self'" };
}
