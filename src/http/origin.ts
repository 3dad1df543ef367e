import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/**
 * Why a request must not be served, or undefined. The server listens on loopback without a login, so the pages that a
 * browser on this machine shows could reach it:
 * - A page of another site may read (without CORS headers its browser keeps the answer from it), but not change anything,
 *   nor open a WebSocket, which no CORS rule guards. Pages of this machine may, on whichever port they are.
 * - A name that resolves to this machine but is not its own is DNS rebinding: the browser takes it for the page's own site.
 *   An address cannot be rebound.
 */
export function refusalOf(method: string, headers: IncomingHttpHeaders, isUpgrade = false): string | undefined {
  const host = hostnameOf(`http://${headers.host ?? ''}`);
  if (host === undefined || !(isLoopback(host) || isAddress(host))) {
    return `the Host header "${headers.host ?? ''}" does not name this server: use localhost or an address`;
  }
  const { origin } = headers;
  if (origin === undefined || (!isUpgrade && ['GET', 'HEAD', 'OPTIONS'].includes(method))) return undefined;
  const page = hostnameOf(origin);
  if (page !== undefined && (page === host || isLoopback(page))) return undefined;
  return `a page of another site (${origin}) may not do this`;
}

function isLoopback(hostname: string): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]') return true;
  return isIP(hostname) === 4 && hostname.startsWith('127.');
}

function isAddress(hostname: string): boolean {
  return isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0;
}

function hostnameOf(url: string): string | undefined {
  const hostname = URL.canParse(url) ? new URL(url).hostname : '';
  return hostname === '' ? undefined : hostname;
}
