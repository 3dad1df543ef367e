import { Prisma, type PrismaClient } from '../database/generated/client.ts';

const { sql } = Prisma;

/** A model version that came out of a job, by its names, and when. */
export interface VersionOfEnvironment {
  readonly name: string;
  readonly version: string;
  readonly createdAt: Date;
}

/**
 * Of each environment the model versions that came out of its jobs, the newest first, in the order of `hashes`.
 * @param limit how many of each
 * @param after only what follows this one
 */
export async function versionsOfEnvironments(
  database: PrismaClient,
  hashes: readonly string[],
  limit: number,
  after: { readonly name: string; readonly version: string; readonly createdAt: string } | null,
): Promise<VersionOfEnvironment[][]> {
  const follows =
    after === null
      ? sql`true`
      : sql`(v.created_at, v.name, v.version) < (${after.createdAt}::timestamptz, ${after.name}, ${after.version})`;
  const rows = await database.$queryRaw<(VersionOfEnvironment & { hash: string })[]>`
    SELECT e.hash, v.name, v.version, v.created_at AS "createdAt"
    FROM unnest(${hashes}::text[]) AS e(hash) CROSS JOIN LATERAL (
      SELECT v.name, v.version, v.created_at
      FROM training_jobs j JOIN job_model_versions v ON v.job_id = j.id
      WHERE j.environment_hash = e.hash AND ${follows}
      ORDER BY v.created_at DESC, v.name DESC, v.version DESC LIMIT ${limit}::int) v
    ORDER BY v.created_at DESC, v.name DESC, v.version DESC`;
  const found = Map.groupBy(rows, ({ hash }) => hash);
  return hashes.map((hash) => found.get(hash) ?? []);
}
