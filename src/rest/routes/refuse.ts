import type { FastifyContextConfig, FastifyInstance } from 'fastify';
import { sendFailure } from '../errors.ts';

/**
 * Answers 405 to every method of `url` but those `allowed`, and names them in `Allow`. To be called once for each
 * path, beside its routes. It answers before the body is read.
 */
export function refuseOtherMethods(
  app: FastifyInstance,
  url: string,
  allowed: readonly ('GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE')[],
  config: FastifyContextConfig = {},
): void {
  // Fastify answers HEAD wherever it answers GET.
  const allow = allowed.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
  app.route({
    method: app.supportedMethods.filter(
      (method) => !allowed.some((each) => each === (method === 'HEAD' ? 'GET' : method)),
    ),
    url,
    config,
    onRequest: async (_request, reply) => sendFailure(reply.header('allow', allow), 405, 'Method Not Allowed'),
    handler: answeredBefore,
  });
}

/** Fastify asks for a handler where a hook has already answered. */
function answeredBefore(): never {
  throw new Error('a hook should have answered this request');
}
