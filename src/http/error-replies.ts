import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { SentCode } from '../../schema/error-code.ts';
import type { Face } from '../auth/access.ts';
import { REFUSAL_STATUS, type Refusal } from '../auth/refusal.ts';
import { assertNever } from '../platform/errors.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whose clients call the route, which decides the shape of its errors and who may call it; REST's when absent. */
    readonly face?: Face;
  }
}

interface Failure {
  readonly code: Extract<SentCode, Refusal['code'] | 'INVALID_INPUT' | 'TOO_LARGE' | 'UNAVAILABLE' | 'INTERNAL'>;
  readonly message: string;
}

/** What MLflow's clients call these. */
const MLFLOW_CODES = {
  UNAUTHORIZED: 'UNAUTHENTICATED',
  FORBIDDEN: 'PERMISSION_DENIED',
  RATE_LIMITED: 'REQUEST_LIMIT_EXCEEDED',
  INVALID_INPUT: 'INVALID_PARAMETER_VALUE',
  TOO_LARGE: 'INVALID_PARAMETER_VALUE',
  UNAVAILABLE: 'TEMPORARILY_UNAVAILABLE',
  INTERNAL: 'INTERNAL_ERROR',
} as const satisfies Record<Failure['code'], string>;

const RETRYABLE: ReadonlySet<Failure['code']> = new Set(['RATE_LIMITED', 'UNAVAILABLE']);
/** Another platform may listen at the address by then. */
const RETRY_AFTER_CLOSE_SECONDS = 2;

/** Whose clients a request comes from. */
export function faceOf(request: FastifyRequest): Face {
  // A request that the router could not read has no configuration.
  return request.routeOptions.config?.face ?? 'rest';
}

/** Answers a request that is not let in, in the shape that its clients read. */
export function replyRefused(request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
  const { code, message, retryAfterSeconds } = refusal;
  if (code === 'UNAUTHORIZED') reply.header('www-authenticate', 'Bearer realm="asgard"');
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  return replyFailed(request, reply, REFUSAL_STATUS[code], { code, message });
}

/** Has what comes on connections that are still there while a server closes refused, in the shape that its clients read. */
export function refuseWhileClosing(app: FastifyInstance): void {
  let isClosing = false;
  app.addHook('preClose', async () => {
    isClosing = true;
  });
  app.addHook('onRequest', async (request, reply) => {
    if (!isClosing) return undefined;
    reply.header('retry-after', RETRY_AFTER_CLOSE_SECONDS);
    const message = 'the platform is shutting down; try again';
    return replyFailed(request, reply, 503, { code: 'UNAVAILABLE', message });
  });
}

/**
 * Answers what no route answers for itself: a fault before a route ran is logged as `http.fault` and masked, a request
 * that Fastify could not take is refused.
 */
export function installErrorReplies(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 400 && status < 500) {
      const code = status === 413 ? 'TOO_LARGE' : 'INVALID_INPUT';
      return replyFailed(request, reply, status, { code, message: error.message });
    }
    request.log.error({ err: error, requestId: request.id }, 'http.fault');
    return replyFailed(request, reply, 500, { code: 'INTERNAL', message: 'Internal Server Error' });
  });
}

/** Answers a request whose path cannot be decoded, which no hook and no route sees. */
export function replyUnreadable(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  reply.header('x-request-id', request.id);
  request.log.info({ requestId: request.id, method: request.method, code: error.code }, 'http.unreadable');
  replyFailed(request, reply, error.statusCode ?? 400, { code: 'INVALID_INPUT', message: 'the path cannot be read' });
}

function replyFailed(request: FastifyRequest, reply: FastifyReply, status: number, failure: Failure): FastifyReply {
  return reply.code(status).send(bodyOf(faceOf(request), failure, request.id));
}

function bodyOf(face: Face, { code, message }: Failure, requestId: string): object {
  switch (face) {
    case 'graphql':
      return { errors: [{ message, extensions: { code, isRetryable: RETRYABLE.has(code), requestId } }] };
    case 'mlflow':
    case 'scoring':
      return { error_code: MLFLOW_CODES[code], message };
    case 'open-inference':
      return { error: message };
    case 'rest':
      return { detail: message, request_id: requestId };
    default:
      return assertNever(face);
  }
}
