import { errorCodes, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { AsgardError, invalidInput } from '../../platform/errors.ts';
import { JSON_TYPE, parseJsonBody } from '../json-body.ts';

/** Of a body that has bytes of tensors behind its JSON: how many bytes of it are JSON. */
const HEADER_LENGTH = 'inference-header-content-length';
export const BINARY_TYPE = 'application/octet-stream';

declare module 'fastify' {
  interface FastifyRequest {
    /** What followed the JSON of a body in the protocol's binary form; null where there was no such form. */
    tensorBytes: Buffer | null;
  }
}

/**
 * Makes `app` read JSON bodies, and those in which the bytes of tensors follow the JSON, up to the same size. The protocol's clients send
 * no content type: a page of another site, which could send that too, is refused by the guard for its origin.
 */
export function readInferenceBodies(app: FastifyInstance, maxBodyBytes: number): void {
  app.decorateRequest('tensorBytes', null);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    '*',
    { parseAs: 'buffer', bodyLimit: maxBodyBytes },
    async (request: FastifyRequest, body: Buffer) => {
      const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers;
      const isTaken = type === '' || JSON_TYPE.test(type) || type.toLowerCase().startsWith(BINARY_TYPE);
      if (!isTaken) throw new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(type);
      if (encoding !== 'identity') {
        throw new AsgardError('INVALID_INPUT', `bodies are taken as they are, not with Content-Encoding: ${encoding}`);
      }
      const length = headerLength(request, body.length);
      if (length === null) return parseJsonBody(body);
      request.tensorBytes = body.subarray(length);
      return parseJsonBody(body.subarray(0, length));
    },
  );
}

function headerLength({ headers }: FastifyRequest, bodyBytes: number): number | null {
  const given = headers[HEADER_LENGTH];
  if (given === undefined) return null;
  const length = typeof given === 'string' && /^[0-9]{1,10}$/.test(given) ? Number(given) : Number.NaN;
  if (length <= bodyBytes) return length;
  throw invalidInput([HEADER_LENGTH], `must be a number of bytes up to the body's, which has ${bodyBytes}`);
}

/**
 * Has answers of `app` end in the bytes of tensors.
 * @returns to be called before an answer is sent, with the bytes that follow its JSON
 */
export function appendTensors(app: FastifyInstance): (reply: FastifyReply, tensors: readonly Buffer[]) => void {
  const kept = new WeakMap<FastifyReply, readonly Buffer[]>();
  app.addHook('onSend', async (_request, reply, payload) => {
    const tensors = kept.get(reply);
    if (tensors === undefined || typeof payload !== 'string' || reply.statusCode !== 200) return payload;
    const header = Buffer.from(payload);
    reply.header(HEADER_LENGTH, header.length).type(BINARY_TYPE);
    return Buffer.concat([header, ...tensors]);
  });
  return (reply, tensors) => void kept.set(reply, tensors);
}
