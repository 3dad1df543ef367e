import type { FastifyInstance } from 'fastify';
import { AsgardError } from '../platform/errors.ts';

/** The largest request body in bytes: a script of 1 MiB in the longest JSON notation, with its variables, fits. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

/**
 * Makes `app` read JSON bodies, and those alone. An empty body becomes `undefined`.
 *
 * Any other content type is refused, a missing one too: a foreign web page can send those to a loopback port without
 * asking the browser's leave (a CORS preflight), and an upload runs code.
 */
export function readJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>(
    /^application\/([\w.+-]+\+)?json\s*(;|$)/i,
    { parseAs: 'string', bodyLimit: MAX_BODY_BYTES },
    async (_request: unknown, text: string) => parseJson(text),
  );
}

/** @throws AsgardError INVALID_INPUT whose issue's path is the position (UTF-16 units, from 0) at which the text stops being JSON */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const issue = {
      path: [faultPosition(text, reason)],
      message: `JSON decode error: ${reason}`,
      type: 'json_invalid',
    };
    throw new AsgardError('INVALID_INPUT', 'the body is not JSON', { cause, issues: [issue] });
  }
}

/** V8 names the position in most of its messages. For an unexpected token it does not: then the longest good beginning is sought. */
function faultPosition(text: string, reason: string): number {
  const named = positionIn(reason);
  if (named !== undefined) return named;
  let good = 0;
  let bad = text.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    if (isBeginningOfJson(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  return good;
}

/** Whether nothing in `text` is wrong but that it may have stopped too early. */
function isBeginningOfJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    const reason = error instanceof Error ? error.message : '';
    return reason.startsWith('Unexpected end') || positionIn(reason) === text.length;
  }
}

function positionIn(reason: string): number | undefined {
  const position = /at position (\d+)/.exec(reason)?.[1];
  return position === undefined ? undefined : Number(position);
}
