import { createHash } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Refusal, rateLimited } from '../auth/refusal.ts';

const MINUTE_MS = 60_000;
/** How long a job's token counts as good after the gateway took it. */
const TRUST_MS = 60_000;
const MAX_TRUSTED = 10_000;

type Counter = ReturnType<FastifyInstance['createRateLimit']>;

/**
 * How many requests a client, by its address, may send in a minute to one port. The script of a running job is not
 * counted: it may log a metric every few milliseconds, from the address that other clients of its machine have.
 */
export class RequestLimits {
  readonly #count: Counter | undefined;
  /** By the hash of the token, in the order of the last use. */
  readonly #trusted = new Map<string, number>();

  /** @param perMinute 0 for no limit */
  static async make(app: FastifyInstance, perMinute: number): Promise<RequestLimits> {
    if (perMinute === 0) return new RequestLimits(undefined);
    await app.register(rateLimit, { global: false, max: perMinute, timeWindow: MINUTE_MS });
    return new RequestLimits(app.createRateLimit());
  }

  private constructor(count: Counter | undefined) {
    this.#count = count;
  }

  /** Counts one request, and says why it must wait when there were too many. */
  async refusalOf(request: FastifyRequest, jobToken: string | null = null): Promise<Refusal | undefined> {
    if (this.#count === undefined || (jobToken !== null && this.#isTrusted(jobToken))) return undefined;
    const counted = await this.#count(request);
    if (counted.isAllowed || !counted.isExceeded) return undefined;
    const message = `more than ${counted.max} requests came from ${request.ip} within a minute`;
    return rateLimited(message, Math.max(1, counted.ttlInSeconds));
  }

  /** The gateway took a request with this token: its job runs. */
  trust(jobToken: string): void {
    if (this.#count === undefined) return;
    const hash = hashOf(jobToken);
    this.#trusted.delete(hash);
    this.#trusted.set(hash, Date.now() + TRUST_MS);
    const [oldest] = this.#trusted.keys();
    if (this.#trusted.size > MAX_TRUSTED && oldest !== undefined) this.#trusted.delete(oldest);
  }

  #isTrusted(jobToken: string): boolean {
    return (this.#trusted.get(hashOf(jobToken)) ?? 0) > Date.now();
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
