import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { isLoopback } from '../platform/loopback.ts';
import { forbidden, type Refusal } from './refusal.ts';

/** A request as it is judged by where it comes from. */
export interface Sender {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** What names this server to the browser: `Host`, or what a trusted proxy says that it was. */
  readonly host: string;
}

export interface SiteRules {
  /** Whether `Host` must name this machine. A key makes it needless: a rebound name's page does not have it. */
  readonly isHostChecked: boolean;
  /** Origins whose pages may call, e.g. `https://app.example`. */
  readonly allowedOrigins: ReadonlySet<string>;
}

/**
 * Why a request must not be served, or undefined. A browser lets any page send requests, with the cookies that it has
 * for us, so that a page from elsewhere could drive the platform of whoever looks at it:
 * - An `Origin` must be our own or an allowed one, whatever the method: scheme, host and port. Another port of the same
 *   machine is another origin; MLflow's UI shows pages that users' scripts made. `https` before a `Host` without a port
 *   counts as our own, since a proxy may speak TLS for us; a page can choose its own scheme, not its host and port.
 * - Where a browser names no origin (an image, a script, a frame) it says in `Sec-Fetch-Site` whether another site asks.
 *   Only what the user goes to, a page in the place of the old one, may be asked for from there: nobody else reads it.
 * - A name that resolves to this machine but is not its own is DNS rebinding: the browser takes it for the page's own
 *   site. An address cannot be rebound.
 */
export function siteRefusal({ method, headers, host }: Sender, rules: SiteRules): Refusal | undefined {
  if (rules.isHostChecked && !namesThisMachine(headers.host ?? '')) {
    const given = JSON.stringify(headers.host ?? '');
    return forbidden(`the Host header ${given} does not name this server: use localhost or an address`);
  }
  const { origin, 'sec-fetch-site': site = 'none', 'sec-fetch-mode': mode, 'sec-fetch-dest': destination } = headers;
  if (origin !== undefined) {
    if (rules.allowedOrigins.has(origin) || isOriginOf(origin, host)) return undefined;
    return forbidden(
      `a page of another origin (${origin}) may not call this server, unless ASGARD_ALLOWED_ORIGINS names it`,
    );
  }
  if (site === 'none' || site === 'same-origin') return undefined;
  const isPage = (method === 'GET' || method === 'HEAD') && mode === 'navigate' && destination === 'document';
  return isPage ? undefined : forbidden('a page of another site may not load this');
}

/** What most clients send; to read a URL costs much more than to see that it is one of these. */
const USUAL_HOST = /^(localhost|127\.0\.0\.1)(:\d{1,5})?$/;

function namesThisMachine(host: string): boolean {
  if (USUAL_HOST.test(host)) return true;
  const name = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
  const bare = name.replace(/^\[(.*)\]$/, '$1');
  return isLoopback(bare) || bare.endsWith('.localhost') || isIP(bare) !== 0;
}

function isOriginOf(origin: string, host: string): boolean {
  const scheme = /^(https?):\/\//.exec(origin)?.[1];
  if (scheme === undefined || !URL.canParse(origin) || !URL.canParse(`${scheme}://${host}`)) return false;
  // Through URL, which leaves out the scheme's own port on both sides.
  return new URL(origin).host === new URL(`${scheme}://${host}`).host;
}
