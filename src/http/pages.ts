import type { FastifyReply, FastifyRequest } from 'fastify';

export const SIGN_IN_PATH = '/sign-in';
export const SIGN_OUT_PATH = '/sign-out';

/** Whether a browser asks for a page to show in a tab. */
export function isPageRequest({ method, headers }: FastifyRequest): boolean {
  const { accept = '', 'sec-fetch-dest': destination = 'document' } = headers;
  return method === 'GET' && destination === 'document' && accept.includes('text/html');
}

/** Leads a browser that asked for a page, and is not signed in, to the sign-in page and from there back. */
export function replyWithSignIn({ headers, url }: FastifyRequest, reply: FastifyReply): FastifyReply {
  const site = headers['sec-fetch-site'] ?? 'none';
  if (site === 'none' || site === 'same-origin') {
    return reply.redirect(`${SIGN_IN_PATH}?next=${encodeURIComponent(localPath(url, '/'))}`, 303);
  }
  // After a link on another site a browser holds back the cookie that it may have. It sends it when we lead it.
  return sendPage(reply, 200, 'One moment', '', `<meta http-equiv="refresh" content="0">`);
}

/**
 * A path of this server, with its query, whatever was given: nothing that leads elsewhere, else `fallback`.
 * @param given what a link or a form says
 */
export function localPath(given: string, fallback: string): string {
  const base = 'http://local.invalid';
  if (!given.startsWith('/') || !URL.canParse(given, base)) return fallback;
  const { origin, pathname, search, hash } = new URL(given, base);
  // "/.//elsewhere" parses to a path that begins with two slashes, which a browser takes for a host.
  return origin === base && !pathname.startsWith('//') ? `${pathname}${search}${hash}` : fallback;
}

/** The form that takes the key. */
export function sendSignInPage(reply: FastifyReply, status: number, next: string, problem = ''): FastifyReply {
  const alert = problem === '' ? '' : `<p role="alert">${escapeHtml(problem)}</p>`;
  const form =
    `<form method="post" action="${SIGN_IN_PATH}"><input type="hidden" name="next" value="${escapeHtml(next)}">` +
    '<label for="key">API key</label>' +
    '<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>' +
    `<button>Sign in</button></form>`;
  return sendPage(reply, status, 'Sign in', alert + form);
}

/** For who has signed in already. */
export function sendSignedInPage(reply: FastifyReply, next: string): FastifyReply {
  const body =
    `<p>You are signed in. <a href="${escapeHtml(next)}">Go on</a></p>` +
    `<form method="post" action="${SIGN_OUT_PATH}"><button>Sign out</button></form>`;
  return sendPage(reply, 200, 'Signed in', body);
}

/** A place of the platform's that people look at. */
export interface Place {
  readonly name: string;
  /** A path of this server, or a URL. */
  readonly address: string;
  readonly what: string;
}

/** Where there is something to see. */
export function sendStartPage(reply: FastifyReply, places: readonly Place[]): FastifyReply {
  const rows = places.map(({ name, address, what }) => {
    return `<li><a href="${escapeHtml(address)}">${escapeHtml(name)}</a><br>${escapeHtml(what)}</li>`;
  });
  return sendPage(reply, 200, 'Start', `<ul>${rows.join('')}</ul>`);
}

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark}' +
  'label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit;margin:.5rem 0;padding:.4rem}' +
  'label{padding:0}[role=alert]{color:#c22}ul{list-style:none;padding:0}li{margin:.8rem 0}li a{font-weight:600}';

function sendPage(reply: FastifyReply, status: number, title: string, body: string, head = ''): FastifyReply {
  return reply
    .code(status)
    .type('text/html; charset=utf-8')
    .header('cache-control', 'no-store')
    .header(
      'content-security-policy',
      "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    .send(
      `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title} · Asgard</title>` +
        `<meta name="viewport" content="width=device-width">${head}<style>${STYLE}</style></head>` +
        `<body><h1>Asgard</h1>${body}</body></html>`,
    );
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
