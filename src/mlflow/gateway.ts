import type { FastifyInstance } from 'fastify';
import { CallsOnce } from './calls-once.ts';
import { Forwarding } from './forwarding.ts';
import type { GatewayOptions } from './gateway-options.ts';
import { Upstream } from './upstream.ts';

/** What MLflow's clients and its UI call, 2.16 and 3.17. `/api/2.0/mlflow*` holds `mlflow-artifacts` too. */
const API_PATHS = ['/api/2.0/mlflow*', '/api/3.0/mlflow*', '/ajax-api/*', '/v1/traces'];

/**
 * Makes a server an MLflow tracking server by forwarding to the real one: `app.register(mlflowGateway, options)`.
 *
 * Bodies stream both ways, paths and queries go on byte for byte, and a client that leaves ends the upstream's request.
 * A request that bears a job's token is told to the observer once MLflow has answered it well, before its client is
 * answered, and has its effect once, however often its client repeats it. Failures of the gateway itself have MLflow's shape, `{"error_code", "message"}`; its clients repeat 503.
 *
 * On undici alone: @fastify/reply-from repeats a GET that was answered 503 up to ten times, normalizes paths, and does
 * not end the upstream's request when the client leaves.
 */
export async function mlflowGateway(app: FastifyInstance, options: GatewayOptions): Promise<void> {
  const { log, notes } = options;
  const upstream = new Upstream(options);
  const once = new CallsOnce(notes, (error) => log.error({ err: error }, 'mlflow.note_not_removed'));
  // what is still under way when the server closes would hold it up
  app.addHook('preClose', () => upstream.destroy());
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _body, done) => done(null));
  for (const url of options.everything ? ['/*'] : API_PATHS) {
    app.all(url, { config: { face: 'mlflow' } }, (request, reply) =>
      new Forwarding({ gateway: options, upstream, once }, request, reply).run(),
    );
  }
}
