import type { FastifyInstance, HTTPMethods } from 'fastify';
import { AsgardError } from '../../platform/errors.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const satisfies readonly HTTPMethods[];

/**
 * Answers 405 to every method of `url` but those `allowed`, and names them in `Allow`. To be called once for each
 * path, beside its routes. It answers before the body is read.
 */
export function refuseOtherMethods(app: FastifyInstance, url: string, allowed: readonly ('GET' | 'POST')[]): void {
  // Fastify answers HEAD wherever it answers GET.
  const allow = allowed.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
  app.route({
    method: METHODS.filter((method) => !allowed.some((each) => each === method)),
    url,
    onRequest: async (_request, reply) => reply.code(405).header('allow', allow).send({ detail: 'Method Not Allowed' }),
    handler: answeredBefore,
  });
}

/** Answers 501 on a path whose part of the platform is still to come, whatever the body is. */
export function refuseAsNotImplemented(app: FastifyInstance, url: string, method: 'GET' | 'POST', what: string): void {
  app.route({
    method,
    url,
    onRequest: async () => {
      throw new AsgardError('NOT_IMPLEMENTED', `${what}: not implemented yet`);
    },
    handler: answeredBefore,
  });
}

/** Fastify asks for a handler where a hook has already answered. */
function answeredBefore(): never {
  throw new Error('a hook should have answered this request');
}
