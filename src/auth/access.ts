import { assertNever } from '../platform/errors.ts';
import { bearerToken, JOB_TOKEN_PREFIX } from './credentials.ts';
import { forbidden, type Refusal, unauthorized } from './refusal.ts';
import { Secret } from './secret.ts';
import { isSession, issueSession } from './session.ts';

/**
 * What a request is for. `rest` holds whatever is no other face: pages and metrics too. `open-inference` and `scoring` are predictions by
 * the protocols of others: the Open Inference Protocol's, and that of MLflow's scoring server.
 */
export type Face = 'rest' | 'graphql' | 'mlflow' | 'open-inference' | 'scoring';

/** Who is calling, as far as the credentials tell. */
export type Caller =
  /** Showed none. */
  | { readonly kind: 'anyone' }
  /** Has the key, or has signed in with it. */
  | { readonly kind: 'owner'; readonly by: 'key' | 'session' }
  /** Bears a job's token, which the MLflow gateway has yet to check. */
  | { readonly kind: 'job' }
  /** Showed a credential that is none of ours. */
  | { readonly kind: 'stranger'; readonly credential: string };

/**
 * Who may call what. Without a key everybody may, since the platform then listens on loopback alone; tokens stay what
 * they are for all the same.
 */
export class Access {
  readonly #key: Secret | undefined;

  /** @param apiKey absent: whoever reaches the ports may use them */
  constructor(apiKey?: string) {
    this.#key = apiKey === undefined ? undefined : new Secret(apiKey);
  }

  get isKeyDemanded(): boolean {
    return this.#key !== undefined;
  }

  /** @param session the session cookie's value; what `authorization` bears goes before it */
  async callerOf(authorization: string | undefined, session: string | undefined): Promise<Caller> {
    const token = bearerToken(authorization);
    if (token !== null) return this.#callerWith(token);
    if (this.#key === undefined || session === undefined) return { kind: 'anyone' };
    const isSignedIn = await isSession(session, this.#key.derive('session'));
    return isSignedIn ? { kind: 'owner', by: 'session' } : { kind: 'anyone' };
  }

  /** The caller by graphql-ws's `connectionParams`: `Authorization: "Bearer <key>"` in any case, or `apiKey: "<key>"`. */
  callerOfParams(params: Readonly<Record<string, unknown>> | undefined): Caller {
    for (const [name, value] of Object.entries(params ?? {})) {
      if (typeof value !== 'string') continue;
      if (name === 'apiKey') return this.#callerWith(value);
      const token = name.toLowerCase() === 'authorization' ? bearerToken(value) : null;
      if (token !== null) return this.#callerWith(token);
    }
    return { kind: 'anyone' };
  }

  /** Why the caller may not do this, or undefined. */
  refusalOf(caller: Caller, face: Face): Refusal | undefined {
    switch (caller.kind) {
      case 'owner':
        return undefined;
      case 'job':
        if (face === 'mlflow') return undefined;
        return forbidden("a job's token is good for MLflow's API alone: what else a job needs, its script is given");
      case 'stranger':
        return this.isKeyDemanded ? unauthorized('the API key is wrong') : undefined;
      case 'anyone':
        if (!this.isKeyDemanded) return undefined;
        return unauthorized('the API key is missing: send it as "Authorization: Bearer <key>"');
      default:
        return assertNever(caller);
    }
  }

  /** Exchanges the key for a session's token; null when it is not the key. */
  async signIn(key: string): Promise<string | null> {
    return this.#key?.matches(key) === true ? issueSession(this.#key.derive('session')) : null;
  }

  #callerWith(credential: string): Caller {
    if (credential.startsWith(JOB_TOKEN_PREFIX)) return { kind: 'job' };
    if (this.#key?.matches(credential) === true) return { kind: 'owner', by: 'key' };
    return { kind: 'stranger', credential };
  }
}
