import type { FastifyInstance } from 'fastify';
import { AsgardError } from '../platform/errors.ts';
import { parseExactJson } from '../platform/exact-json.ts';
import { othersTurn } from '../platform/turn.ts';
import { refuseDubiousJson } from './strict-json.ts';

/**
 * The largest body of a REST request in bytes, unless it is set. More than the server's own limit, which holds for all other
 * bodies and suffices for an upload (1.4 MiB of base64 and 1 MiB of variables): inputs of a prediction are up to 100,000 rows.
 */
export const DEFAULT_BODY_BYTES = 16 * 1024 * 1024;

/** `Content-Type` of JSON. */
export const JSON_TYPE = /^application\/([\w.+-]+\+)?json\s*(;|$)/i;

/**
 * Makes `app` read JSON bodies, and those alone. An empty body becomes `undefined`.
 *
 * Any other content type is refused, a missing one too: a foreign web page can send those to a loopback port without
 * asking the browser's leave (a CORS preflight), and an upload runs code.
 */
export function readJsonBodies(app: FastifyInstance, maxBodyBytes = DEFAULT_BODY_BYTES): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    JSON_TYPE,
    { parseAs: 'buffer', bodyLimit: maxBodyBytes },
    async (_request: unknown, body: Buffer) => parseJsonBody(body),
  );
}

/**
 * What the bytes of a body say; undefined of an empty one.
 * @throws AsgardError INVALID_INPUT of what is not JSON, or JSON that nobody can mean
 */
export async function parseJsonBody(body: Uint8Array): Promise<unknown> {
  return parseStrictJson(decodeUtf8(body));
}

/** `parseJsonBody` of a text. */
export async function parseStrictJson(text: string): Promise<unknown> {
  const value = parseJson(text);
  await othersTurn(text.length);
  refuseDubiousJson(text, value);
  await othersTurn(text.length);
  return value;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Node would put a replacement character for what is no UTF-8, and a script would run with it. */
export function decodeUtf8(body: Uint8Array): string {
  try {
    return UTF8.decode(body);
  } catch (cause) {
    const issue = { path: [], message: 'JSON decode error: the body is not UTF-8 text', type: 'json_invalid' };
    throw new AsgardError('INVALID_INPUT', issue.message, { cause, issues: [issue] });
  }
}

/**
 * As `parseExactJson`.
 * @throws AsgardError INVALID_INPUT whose issue's path is the position (UTF-16 units, from 0) at which the text stops being
 * JSON; 0 when V8 names none, as for an unexpected token: then its message shows the text around it
 */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return parseExactJson(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const issue = {
      path: [positionIn(reason)],
      message: `JSON decode error: ${reason}`,
      type: 'json_invalid',
    };
    throw new AsgardError('INVALID_INPUT', 'the body is not JSON', { cause, issues: [issue] });
  }
}

function positionIn(reason: string): number {
  const position = /at position (\d+)/.exec(reason)?.[1];
  return position === undefined ? 0 : Number(position);
}
