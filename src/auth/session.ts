import { errors, jwtVerify, SignJWT } from 'jose';

/** How long a browser stays signed in. */
export const SESSION_SECONDS = 12 * 60 * 60;

const ALGORITHM = 'HS256';
const AUDIENCE = 'asgard-session';

/** A signed token that says that its bearer once knew the key. It holds nothing else, and nothing is stored for it. */
export async function issueSession(secret: Uint8Array): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg: ALGORITHM })
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(`${SESSION_SECONDS}s`)
    .sign(secret);
}

/** Whether a token was issued with this secret and has not expired. */
export async function isSession(token: string, secret: Uint8Array): Promise<boolean> {
  try {
    await jwtVerify(token, secret, { algorithms: [ALGORITHM], audience: AUDIENCE, requiredClaims: ['exp'] });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) return false;
    throw error;
  }
}
