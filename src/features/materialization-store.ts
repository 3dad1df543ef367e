import { randomBytes } from 'node:crypto';
import type { Materialization, PrismaClient } from '../database/generated/client.ts';
import type { MaterializationTrigger } from '../database/generated/enums.ts';
import type { MaterializationUpdateManyMutationInput } from '../database/generated/models.ts';

/** Channel of "a materialization has changed", payload its id. */
export const MATERIALIZATIONS_CHANNEL = 'asgard_materializations';

/** A platform that has not renewed its lease for so long is gone. */
const LEASE_SECONDS = 20;
/** Of each view; older ones go. */
const MAX_KEPT = 100;
const ACTIVE = ['QUEUED', 'RUNNING'] as const;
const GONE = 'the platform that ran it is gone; the next run does what it left undone';

/** The rows of `materializations`: all writes of them, each guarded by the lease. */
export class MaterializationStore {
  readonly #database: PrismaClient;
  /** What this process calls itself. */
  readonly #platform: string;

  constructor(database: PrismaClient, platform: string) {
    this.#database = database;
    this.#platform = platform;
  }

  /** A new row of this platform's, or the one that is queued or runs already, here or elsewhere. */
  async open(featureView: string, trigger: MaterializationTrigger): Promise<{ row: Materialization; isNew: boolean }> {
    await this.expire();
    return this.#database.$transaction(async (transaction) => {
      const lock = `asgard materialization ${featureView}`;
      await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${lock}, 0))`;
      const active = { featureView, status: { in: [...ACTIVE] } };
      const running = await transaction.materialization.findFirst({ where: active });
      if (running !== null) return { row: running, isNew: false };
      const id = randomBytes(8).toString('hex');
      await transaction.$executeRaw`
        INSERT INTO materializations (id, feature_view, trigger, platform, lease_expires_at)
        VALUES (${id}, ${featureView}, ${trigger}::"MaterializationTrigger", ${this.#platform},
          now() + make_interval(secs => ${LEASE_SECONDS}))`;
      await transaction.$executeRaw`
        DELETE FROM materializations WHERE id IN (
          SELECT id FROM materializations WHERE feature_view = ${featureView}
          ORDER BY created_at DESC, id DESC OFFSET ${MAX_KEPT})`;
      return { row: await transaction.materialization.findUniqueOrThrow({ where: { id } }), isNew: true };
    });
  }

  /** Writes what became of a run of this platform's. @returns false when it is none any more: its lease was lost */
  async write(id: string, data: MaterializationUpdateManyMutationInput): Promise<boolean> {
    return this.#database.$transaction(async (transaction) => {
      const where = { id, platform: this.#platform, status: { in: [...ACTIVE] } };
      const { count } = await transaction.materialization.updateMany({ where, data });
      if (count > 0) await transaction.$executeRaw`SELECT pg_notify(${MATERIALIZATIONS_CHANNEL}, ${id})`;
      return count > 0;
    });
  }

  /** Goes on holding the leases of these. @returns the ids of those that are held */
  async renew(ids: readonly string[]): Promise<string[]> {
    const rows = await this.#database.$queryRaw<{ id: string }[]>`
      UPDATE materializations SET lease_expires_at = now() + make_interval(secs => ${LEASE_SECONDS})
      WHERE id = ANY(${[...ids]}) AND platform = ${this.#platform} AND status IN ('QUEUED', 'RUNNING') RETURNING id`;
    return rows.map(({ id }) => id);
  }

  /** Ends the runs of platforms that are gone: their transactions have come to nothing. */
  async expire(): Promise<void> {
    await this.#database.$executeRaw`
      WITH gone AS (
        UPDATE materializations SET status = 'FAILED', error = ${GONE}, completed_at = now()
        WHERE status IN ('QUEUED', 'RUNNING') AND lease_expires_at < now() RETURNING id)
      SELECT pg_notify(${MATERIALIZATIONS_CHANNEL}, id) FROM gone`;
  }

  /** Null when there is none of this id. */
  async find(id: string): Promise<Materialization | null> {
    return /^[0-9a-f]{16}$/.test(id) ? this.#database.materialization.findUnique({ where: { id } }) : null;
  }

  /** The newest first. */
  async list(featureView: string | undefined, limit: number): Promise<Materialization[]> {
    return this.#database.materialization.findMany({
      where: featureView === undefined ? {} : { featureView },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit,
    });
  }

  /** When each view was last begun, for whatever reason; those that never were are missing. */
  async lastStarts(): Promise<ReadonlyMap<string, Date>> {
    const groups = await this.#database.materialization.groupBy({ by: ['featureView'], _max: { createdAt: true } });
    return new Map(
      groups.flatMap(({ featureView, _max }) => (_max.createdAt === null ? [] : [[featureView, _max.createdAt]])),
    );
  }
}
