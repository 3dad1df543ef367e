import type { IncomingHttpHeaders } from 'node:http';
import { bearsOwnToken, SESSION_COOKIE } from '../auth/credentials.ts';

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

/**
 * The headers to send upstream. Dropped: what belongs to the connection, and what opens this platform, which the upstream
 * need not know: the platform's own tokens, the key, the session. Whose page may call has been judged here by the client's own
 * `Host` and `Origin`, which would mean something else there: a page of the upstream's own it is.
 * @param isKeyDemanded then whatever authorizes is for this platform
 */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  upstream: URL,
  isKeyDemanded: boolean,
): IncomingHttpHeaders {
  const forwarded = withoutHopByHop(headers);
  forwarded['host'] = upstream.host;
  if (isKeyDemanded || bearsOwnToken(headers)) delete forwarded['authorization'];
  const cookies = withoutSession(headers.cookie);
  if (cookies === undefined) delete forwarded['cookie'];
  else forwarded['cookie'] = cookies;
  if (headers.origin !== undefined) forwarded['origin'] = upstream.origin;
  return forwarded;
}

/**
 * The headers to answer with. A redirect to the upstream's own address becomes one that holds on ours. Which pages may
 * read the answer, and under which id the request is logged, is said by this server.
 */
export function answerHeaders(headers: IncomingHttpHeaders, upstream: URL): IncomingHttpHeaders {
  const forwarded = withoutHopByHop(headers);
  for (const name of Object.keys(forwarded)) {
    if (name === 'x-request-id' || name.startsWith('access-control-')) delete forwarded[name];
  }
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

function withoutSession(cookie: string | undefined): string | undefined {
  const kept = (cookie ?? '').split(';').filter((pair) => pair.split('=', 1)[0]?.trim() !== SESSION_COOKIE);
  return kept.join(';').trim() || undefined;
}
