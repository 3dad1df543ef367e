import type { IncomingHttpHeaders } from 'node:http';

/** Begins every token of a job's attempt. */
export const JOB_TOKEN_PREFIX = 'asgard-job-';

/** Holds the token of a browser that has signed in. */
export const SESSION_COOKIE = 'asgard_session';

/** The token of `Authorization: Bearer <token>`, or null. Other schemes are none of ours. */
export function bearerToken(authorization: string | undefined): string | null {
  return /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? null;
}

/** The token that a request bears as a job's script, or null. Whether it is good, the MLflow gateway finds out. */
export function jobToken(headers: IncomingHttpHeaders): string | null {
  const token = bearerToken(headers.authorization);
  return token?.startsWith(JOB_TOKEN_PREFIX) === true ? token : null;
}

/** Whether a request bears a token that this platform made, which means nothing elsewhere. */
export function bearsOwnToken(headers: IncomingHttpHeaders): boolean {
  return jobToken(headers) !== null;
}
