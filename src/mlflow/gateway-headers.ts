import type { IncomingHttpHeaders } from 'node:http';

/** Begins every token of a job; any other `Authorization` is between the client and the MLflow server. */
export const JOB_TOKEN_PREFIX = 'asgard-job-';

/** They are of one connection, not of the message (RFC 9110, 7.6.1). `expect` was answered by our own server. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/** The token that a request bears as a job's script, or null. */
export function jobToken(headers: IncomingHttpHeaders): string | null {
  const token = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  return token?.startsWith(JOB_TOKEN_PREFIX) === true ? token : null;
}

/**
 * The headers to send upstream. Dropped: what belongs to the connection, and a job's token, which the upstream need
 * not know. An Origin that is the gateway's own becomes the upstream's own, so that the UI is same-origin there too.
 */
export function requestHeaders(headers: IncomingHttpHeaders, upstream: URL): IncomingHttpHeaders {
  const forwarded = withoutHopByHop(headers);
  forwarded['host'] = upstream.host;
  if (jobToken(headers) !== null) delete forwarded['authorization'];
  if (isOwnOrigin(headers)) forwarded['origin'] = upstream.origin;
  return forwarded;
}

/** The headers to answer with. A redirect to the upstream's own address becomes one that holds on ours. */
export function answerHeaders(headers: IncomingHttpHeaders, upstream: URL): IncomingHttpHeaders {
  const forwarded = withoutHopByHop(headers);
  const location = forwarded['location'];
  if (location?.startsWith(`${upstream.origin}/`) === true) {
    forwarded['location'] = location.slice(upstream.origin.length);
  }
  return forwarded;
}

function withoutHopByHop(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.includes(name)));
}

function isOwnOrigin({ origin, host }: IncomingHttpHeaders): boolean {
  return origin !== undefined && (origin === `http://${host}` || origin === `https://${host}`);
}
