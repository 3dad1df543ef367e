import type { PrismaClient } from '../database/generated/client.ts';
import type { ScriptRole, ScriptRoles } from '../feast/script-role.ts';
import type { Logger } from '../platform/logger.ts';
import { Repeated } from '../platform/repeated.ts';

const SWEEP_MS = 60_000;

export interface RoleSweepOptions {
  readonly database: PrismaClient;
  readonly roles: ScriptRoles;
  readonly logger: Logger;
}

/** Ends roles of scripts whose attempts are over: their supervisors were killed before they could. At once and every minute. */
export class RoleSweep implements AsyncDisposable {
  readonly #options: RoleSweepOptions;
  readonly #sweeping: Repeated;

  constructor(options: RoleSweepOptions) {
    this.#options = options;
    this.#sweeping = new Repeated(SWEEP_MS, () => this.#sweep());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweeping[Symbol.asyncDispose]();
  }

  async #sweep(): Promise<void> {
    const { logger } = this.#options;
    try {
      await sweepRoles(this.#options);
    } catch (error) {
      // The store's own health tells when its database is away.
      logger.debug({ err: error }, 'script_role.sweep_failed');
    }
  }
}

/** @returns how many roles it ended */
export async function sweepRoles({ database, roles, logger }: RoleSweepOptions): Promise<number> {
  const found = await roles.list();
  if (found.length === 0) return 0;
  const attempts = await database.jobAttempt.findMany({
    where: { jobId: { in: found.map(({ jobId }) => jobId) } },
    select: { jobId: true, number: true, endedAt: true },
  });
  const isOver = ({ jobId, attempt, validUntil }: ScriptRole) => {
    const known = attempts.find((each) => each.jobId === jobId && each.number === attempt);
    // One that is not known is another platform's, which may have been taken down.
    return known === undefined ? validUntil.getTime() < Date.now() : known.endedAt !== null;
  };
  let dropped = 0;
  for (const role of found.filter(isOver)) {
    try {
      await roles.drop(role);
      dropped += 1;
    } catch (error) {
      logger.warn({ jobId: role.jobId, attempt: role.attempt, err: error }, 'script_role.left');
    }
  }
  return dropped;
}
