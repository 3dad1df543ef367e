import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { SESSION_COOKIE } from '../auth/credentials.ts';
import { REFUSAL_STATUS } from '../auth/refusal.ts';
import { SESSION_SECONDS } from '../auth/session.ts';
import type { Guard } from './guard.ts';
import { localPath, SIGN_IN_PATH, SIGN_OUT_PATH, sendSignedInPage, sendSignInPage } from './pages.ts';

const MAX_FORM_BYTES = 8 * 1024;

/**
 * The sign-in page, which exchanges the API key for a session cookie, and the way out. Both work without a script in the
 * page. A session is a signed token that nothing is stored for: signing out removes it from the browser, a new key ends all.
 * @param home where to go after it when the page was asked for by itself
 */
export function signInRoutes(guard: Guard, home: string): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser<string>(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: MAX_FORM_BYTES },
      async (_request: unknown, text: string) => new URLSearchParams(text),
    );

    app.get<{ Querystring: { next?: unknown } }>(SIGN_IN_PATH, async (request, reply) => {
      const { next } = request.query;
      const path = localPath(typeof next === 'string' ? next : '', home);
      if (request.caller?.kind === 'owner') return sendSignedInPage(reply, path);
      return sendSignInPage(reply, 200, path);
    });

    app.post(SIGN_IN_PATH, async (request, reply) => {
      const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
      const next = localPath(form.get('next') ?? '', home);
      const refusal = guard.tooManyGuesses(request);
      if (refusal !== undefined) {
        reply.header('retry-after', refusal.retryAfterSeconds ?? 0);
        return sendSignInPage(reply, REFUSAL_STATUS[refusal.code], next, refusal.message);
      }
      const key = form.get('key') ?? '';
      const session = await guard.access.signIn(key);
      if (session === null) {
        guard.noteGuess(request, key);
        return sendSignInPage(reply, 401, next, 'This is not the API key.');
      }
      return setSession(request, reply, session, SESSION_SECONDS).redirect(next, 303);
    });

    app.post(SIGN_OUT_PATH, async (request, reply) => setSession(request, reply, '', 0).redirect(SIGN_IN_PATH, 303));
  };
}

function setSession(request: FastifyRequest, reply: FastifyReply, value: string, maxAge: number): FastifyReply {
  // The form's own page tells how the browser came here, also through a proxy that speaks TLS for us.
  const isSecure = request.protocol === 'https' || request.headers.origin?.startsWith('https://') === true;
  return reply.setCookie(SESSION_COOKIE, value, {
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: isSecure,
    maxAge,
  });
}
