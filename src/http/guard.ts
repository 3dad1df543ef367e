import cors from '@fastify/cors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Access, Caller, Face } from '../auth/access.ts';
import { jobToken, SESSION_COOKIE } from '../auth/credentials.ts';
import { siteRefusal } from '../auth/cross-site.ts';
import { Guesses } from '../auth/guesses.ts';
import { type Refusal, rateLimited } from '../auth/refusal.ts';
import { faceOf, replyRefused } from './error-replies.ts';
import { isPageRequest, replyWithSignIn, SIGN_IN_PATH, SIGN_OUT_PATH } from './pages.ts';
import { RequestLimits } from './request-limits.ts';
import { isUpgrade } from './upgrade.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent it; null until the guard has looked. */
    caller: Caller | null;
  }
}

/** Routes that answer whoever asks; by the routes' own patterns, so that no spelling of another path is one. */
const OPEN_ROUTES: ReadonlySet<string | undefined> = new Set(['/healthz', '/readyz', SIGN_IN_PATH, SIGN_OUT_PATH]);
/** An orchestrator asks them from one address for many. */
const UNCOUNTED_ROUTES: ReadonlySet<string | undefined> = new Set(['/healthz', '/readyz']);

export interface GuardOptions {
  readonly access: Access;
  /** Origins of pages that may call; see `src/auth/cross-site.ts`. */
  readonly allowedOrigins: readonly string[];
  /** Of one client; 0 for no limit. */
  readonly requestsPerMinute: number;
}

/**
 * Stands before every route of a server, also those that are added later and those that nobody has: refuses pages of
 * other sites, then who sends too much, then who may not call.
 */
export class Guard {
  readonly access: Access;
  readonly limits: RequestLimits;
  readonly #guesses = new Guesses();

  /** Adds the hooks. To be called before any route is added. */
  static async install(app: FastifyInstance, options: GuardOptions): Promise<Guard> {
    const { access, allowedOrigins, requestsPerMinute } = options;
    const rules = { isHostChecked: !access.isKeyDemanded, allowedOrigins: new Set(allowedOrigins) };
    app.decorateRequest('caller', null);
    app.addHook('onRequest', async (request, reply) => {
      const { method, headers, host } = request;
      const refusal = siteRefusal({ method, headers, host }, rules);
      return refusal === undefined ? undefined : replyRefused(request, reply, refusal);
    });
    // Before credentials are asked for: a browser sends none with the preflight.
    if (allowedOrigins.length > 0) await app.register(cors, { delegator: corsOf(rules.allowedOrigins) });
    const guard = new Guard(access, await RequestLimits.make(app, requestsPerMinute));
    app.addHook('onRequest', (request, reply) => guard.#admit(request, reply));
    app.addHook('onResponse', async (request, reply) => {
      const token = request.caller?.kind === 'job' ? jobToken(request.headers) : null;
      if (token !== null && ![401, 403, 429].includes(reply.statusCode)) guard.limits.trust(token);
    });
    return guard;
  }

  private constructor(access: Access, limits: RequestLimits) {
    this.access = access;
    this.limits = limits;
  }

  /** Why a caller with these credentials is not let in, or undefined. Wrong keys are remembered. */
  refusalOf(caller: Caller, request: FastifyRequest, face: Face): Refusal | undefined {
    const isByKey = caller.kind === 'stranger' || (caller.kind === 'owner' && caller.by === 'key');
    if (isByKey && this.access.isKeyDemanded) {
      const blocked = this.tooManyGuesses(request);
      if (blocked !== undefined) return blocked;
      if (caller.kind === 'stranger') this.noteGuess(request, caller.credential);
    }
    return this.access.refusalOf(caller, face);
  }

  /** Why no key of this client is looked at for now, or undefined. */
  tooManyGuesses({ ip }: FastifyRequest): Refusal | undefined {
    const seconds = this.#guesses.blockedSeconds(ip);
    return seconds === 0 ? undefined : rateLimited(`too many wrong keys came from ${ip}`, seconds);
  }

  /** The client showed a key that is wrong. */
  noteGuess({ ip }: FastifyRequest, key: string): void {
    this.#guesses.note(ip, key);
  }

  async #admit(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    const { url } = request.routeOptions;
    if (UNCOUNTED_ROUTES.has(url)) return undefined;
    const { authorization } = request.headers;
    const caller = await this.access.callerOf(authorization, request.cookies[SESSION_COOKIE]);
    request.caller = caller;
    const exceeded = await this.limits.refusalOf(request, jobToken(request.headers));
    if (exceeded !== undefined) return replyRefused(request, reply, exceeded);
    if (OPEN_ROUTES.has(url)) return undefined;
    const refusal = this.refusalOf(caller, request, faceOf(request));
    if (refusal === undefined) return undefined;
    if (caller.kind === 'anyone') {
      // Its first message may bear the key.
      if (isUpgrade(request.raw)) return undefined;
      if (isPageRequest(request)) return replyWithSignIn(request, reply);
    }
    return replyRefused(request, reply, refusal);
  }
}

function corsOf(allowedOrigins: ReadonlySet<string>) {
  return (request: FastifyRequest, done: (error: Error | null, options: cors.FastifyCorsOptions) => void) => {
    const { origin } = request.headers;
    const isAllowed = origin !== undefined && allowedOrigins.has(origin);
    done(null, {
      origin: isAllowed ? origin : false,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      credentials: true,
      exposedHeaders: ['x-request-id', 'retry-after', 'link', 'inference-header-content-length'],
      maxAge: 600,
    });
  };
}
