import type { PrismaClient } from '../database/generated/client.ts';
import { Turns } from '../platform/turns.ts';

/** Some calls of MLflow's, each of which may take 30 s. */
const LIMIT_MS = 180_000;

/**
 * One change of a registered model at a time, on whichever platform: what is checked before a change still holds when it
 * is made. MLflow's own clients do not ask for it.
 */
export class ModelLock {
  readonly #database: PrismaClient;
  /** Each holds a connection to the database meanwhile. */
  readonly #turns = new Turns('too many models are being changed', { atOnce: 3, maxWaiting: 200 });

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /** @throws AsgardError UNAVAILABLE when too many wait; what the work throws */
  hold<T>(modelName: string, work: () => Promise<T>): Promise<T> {
    const name = `asgard model ${modelName}`;
    return this.#turns.run(() =>
      this.#database.$transaction(
        async (transaction) => {
          await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${name}, 0))`;
          return work();
        },
        { timeout: LIMIT_MS },
      ),
    );
  }
}
