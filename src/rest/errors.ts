import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { expectedFailure } from '../database/failure.ts';
import { type AsgardError, ERROR_CODES, type InputIssue, RETRY_AFTER_SECONDS } from '../platform/errors.ts';
import { DEFAULT_BODY_BYTES } from './json-body.ts';
import { protocolFailure, type WireIssue } from './protocol-failures.ts';
import { WIRE_NAMES } from './wire.ts';

/** What FastAPI calls the parts of a request that Fastify found a mistake in; by itself the domain looks at bodies. */
const LOCATIONS: Readonly<Record<string, string>> = { querystring: 'query', params: 'path', headers: 'header' };

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a body may be, where that is not JSON. */
    readonly mediaTypes?: readonly string[];
  }
}

const MAX_SHOWN = 300;

/**
 * Makes `app` answer every failure as FastAPI does: `{"detail": "…"}`, and for a 422 a list of issues; beside it stands
 * `request_id`. What nobody expected is logged once, as `rest.fault` with the request's id, and masked.
 * @param maxBodyBytes of a body in JSON, for who sent a larger one
 */
export function installErrorReplies(app: FastifyInstance, maxBodyBytes = DEFAULT_BODY_BYTES): void {
  app.addHook('onRequest', async (request, reply) => {
    // Here, before the body is read: whatever it is, the path is unknown.
    return request.is404 ? replyNotFound(request, reply) : undefined;
  });
  app.setErrorHandler((error, request, reply) => replyToError(error, request, reply, maxBodyBytes));
  app.setNotFoundHandler(replyNotFound);
}

/**
 * An issue of the domain by the names of the wire: `['scriptName']` → `['body', 'script_name']`.
 * @param location the part of the request that the issue's path begins in
 */
export function toWireIssue({ path, message, type }: InputIssue, location = 'body'): WireIssue {
  const names = path.map((part, index) => WIRE_NAMES.get(path.slice(0, index + 1).join('.')) ?? part);
  return { loc: [location, ...names].map(shown), msg: message, type };
}

/** A name that the caller made up may be megabytes. */
function shown(part: string | number): string | number {
  return typeof part === 'string' && part.length > MAX_SHOWN ? `${part.slice(0, MAX_SHOWN)}…` : part;
}

/** Answers a failure in FastAPI's shape with the id of the request, or as the protocol of the route's face has it. */
export function sendFailure(reply: FastifyReply, status: number, detail: string | readonly WireIssue[]): FastifyReply {
  const face = reply.request.routeOptions.config?.face;
  if (face === 'open-inference' || face === 'scoring') {
    const { status: said, body } = protocolFailure(face, status, detail);
    return reply.code(said).send(body);
  }
  return reply.code(status).send({ detail, request_id: reply.request.id });
}

async function replyNotFound(_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  return sendFailure(reply, 404, 'Not Found');
}

async function replyToError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  maxBodyBytes: number,
): Promise<FastifyReply> {
  const expected = expectedFailure(error);
  if (expected !== undefined) return replyToExpected(expected, reply);
  if (isClientFault(error))
    return sendFailure(reply, error.statusCode, describeClientFault(error, request, maxBodyBytes));
  if (request.raw.destroyed && !request.raw.complete) {
    request.log.debug({ requestId: request.id }, 'http.caller_gone');
    return sendFailure(reply, 400, 'the request ended before its body did');
  }
  if (reply.raw.destroyed) {
    request.log.debug({ requestId: request.id }, 'http.caller_gone');
    return sendFailure(reply, 400, 'the caller went away');
  }
  request.log.error({ err: error, requestId: request.id }, 'rest.fault');
  return sendFailure(reply, 500, 'Internal Server Error');
}

function replyToExpected(error: AsgardError, reply: FastifyReply): FastifyReply {
  const { status } = ERROR_CODES[error.code];
  const retryAfter = RETRY_AFTER_SECONDS[error.code];
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
  if (error.code !== 'INVALID_INPUT') return sendFailure(reply, status, error.message);
  const issues = error.issues.length > 0 ? error.issues : [{ path: [], message: error.message, type: 'value_error' }];
  const location = locationOf(error);
  return sendFailure(
    reply,
    status,
    issues.map((issue) => toWireIssue(issue, location)),
  );
}

/** Fastify notes on a validator's error which part of the request it is about. */
function locationOf(error: Error): string {
  const part = 'validationContext' in error ? String(error.validationContext) : 'body';
  return LOCATIONS[part] ?? 'body';
}

/** Fastify's own refusals: a body of another type, one too large, a bad URL. */
function isClientFault(error: unknown): error is FastifyError & { statusCode: number } {
  if (!(error instanceof Error) || !('code' in error) || !('statusCode' in error)) return false;
  const { code, statusCode } = error;
  return String(code).startsWith('FST_') && typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500;
}

function describeClientFault(error: FastifyError, { routeOptions }: FastifyRequest, maxBodyBytes: number): string {
  const types = routeOptions.config?.mediaTypes;
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return types === undefined
        ? 'send the body as JSON, with the header Content-Type: application/json'
        : `send the body with the header Content-Type: ${types.join(' or ')}`;
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return `the body is larger than ${maxBodyBytes} bytes: send fewer rows at once, or set ASGARD_REQUEST_LIMIT`;
    default:
      return error.message;
  }
}
