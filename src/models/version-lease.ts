import { randomUUID } from 'node:crypto';
import type { PrismaClient } from '../database/generated/client.ts';
import { Repeated } from '../platform/repeated.ts';
import type { ServableKey } from './servable-versions.ts';

/** Whoever has not renewed for this long is gone: what it had in hand is another's to do. */
const LEASE_SECONDS = 10;
const RENEW_MS = (LEASE_SECONDS * 1000) / 4;

/**
 * A version that is tried, or compiled, by its holder alone. Renewed until it is disposed of, and free at once then; of a holder that
 * was killed it is free some seconds later. One that paused for longer may find that another has done the same work beside it,
 * which is safe.
 */
export class VersionLease implements AsyncDisposable {
  readonly holder: string;
  readonly #database: PrismaClient;
  readonly #key: ServableKey;
  readonly #renewing: Repeated;
  #isKept = false;

  /**
   * Takes a version to be tried, unless another is at that, or has done it. What was known of an older version of its name and number
   * is forgotten.
   * @returns null when it is not to be had
   */
  static async toCheck(database: PrismaClient, key: ServableKey, jobId: string | null): Promise<VersionLease | null> {
    const { name, version, createdAt } = key;
    const holder = randomUUID();
    const [, taken] = await database.$transaction([
      database.servableVersion.deleteMany({ where: { name, version, registeredAt: { lt: createdAt } } }),
      database.$executeRaw`
        INSERT INTO servable_versions AS known (name, version, registered_at, job_id, status, lease_holder, lease_until)
        VALUES (${name}, ${version}, ${createdAt}, ${jobId}, 'CHECKING', ${holder}, now() + make_interval(secs => ${LEASE_SECONDS}::int))
        ON CONFLICT (name, version) DO UPDATE
          SET job_id = EXCLUDED.job_id, lease_holder = EXCLUDED.lease_holder, lease_until = EXCLUDED.lease_until, checked_at = now()
          WHERE known.registered_at = EXCLUDED.registered_at AND known.status = 'CHECKING'
            AND (known.lease_until IS NULL OR known.lease_until < now())`,
    ]);
    return taken === 0 ? null : new VersionLease(database, key, holder);
  }

  /** Takes the version that has waited longest to be compiled. @returns null when there is none */
  static async toCompile(database: PrismaClient): Promise<{ key: ServableKey; lease: VersionLease } | null> {
    const holder = randomUUID();
    const [key] = await database.$queryRaw<ServableKey[]>`
      UPDATE servable_versions SET lease_holder = ${holder}, lease_until = now() + make_interval(secs => ${LEASE_SECONDS}::int)
      WHERE (name, version) IN (
        SELECT name, version FROM servable_versions
        WHERE status = 'SERVABLE' AND compile_status = 'PENDING' AND (lease_until IS NULL OR lease_until < now())
        ORDER BY checked_at LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING name, version, registered_at AS "createdAt"`;
    return key === undefined ? null : { key, lease: new VersionLease(database, key, holder) };
  }

  private constructor(database: PrismaClient, key: ServableKey, holder: string) {
    this.#database = database;
    this.#key = key;
    this.holder = holder;
    this.#renewing = new Repeated(
      RENEW_MS,
      () => this.#extend(LEASE_SECONDS),
      async () => {},
    );
  }

  /** Has nobody take the version for so long, also when this is disposed of or gone. */
  async keepFor(seconds: number): Promise<void> {
    await this.#renewing[Symbol.asyncDispose]();
    this.#isKept = true;
    await this.#extend(seconds);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#renewing[Symbol.asyncDispose]();
    if (this.#isKept) return;
    const { name, version } = this.#key;
    await this.#database.servableVersion
      .updateMany({ where: { name, version, leaseHolder: this.holder }, data: { leaseHolder: null, leaseUntil: null } })
      // It runs out by itself.
      .catch(() => {});
  }

  /** A failure is made good by the next time. */
  async #extend(seconds: number): Promise<void> {
    const { name, version } = this.#key;
    await this.#database.$executeRaw`
      UPDATE servable_versions SET lease_until = now() + make_interval(secs => ${seconds}::int)
      WHERE name = ${name} AND version = ${version} AND lease_holder = ${this.holder}`.catch(() => {});
  }
}
