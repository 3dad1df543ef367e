/** Why a request is not let in, by HTTP status. */
export const REFUSAL_STATUS = {
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  RATE_LIMITED: 429,
} as const;

/** A request that is not let in. The message says what to do, and shows nothing of what was sent as a credential. */
export interface Refusal {
  readonly code: keyof typeof REFUSAL_STATUS;
  readonly message: string;
  /** With RATE_LIMITED: when to come back. */
  readonly retryAfterSeconds?: number;
}

export function forbidden(message: string): Refusal {
  return { code: 'FORBIDDEN', message };
}

export function unauthorized(message: string): Refusal {
  return { code: 'UNAUTHORIZED', message };
}

export function rateLimited(message: string, retryAfterSeconds: number): Refusal {
  return { code: 'RATE_LIMITED', message: `${message}; try again in ${retryAfterSeconds} s`, retryAfterSeconds };
}
