import { Prisma, type PrismaClient } from '../database/generated/client.ts';

const { sql } = Prisma;

/** A job that read a feature view. */
export interface JobOfView {
  readonly id: string;
  readonly createdAt: Date;
}

/** A model version that came out of an attempt that read a feature view. */
export interface VersionOfView {
  readonly name: string;
  readonly version: string;
  readonly createdAt: Date;
}

/**
 * Of each feature view the jobs whose scripts read it, by whatever alias, the newest first, in the order of `views`.
 * @param limit how many of each
 * @param after only what follows this one
 */
export async function jobsOfViews(
  database: PrismaClient,
  views: readonly string[],
  limit: number,
  after: { readonly id: string; readonly createdAt: string } | null,
): Promise<JobOfView[][]> {
  const follows =
    after === null ? sql`true` : sql`(j.created_at, j.id) < (${after.createdAt}::timestamptz, ${after.id})`;
  const rows = await database.$queryRaw<(JobOfView & { view: string })[]>`
    SELECT v.view, j.id, j.created_at AS "createdAt"
    FROM unnest(${views}::text[]) AS v(view) CROSS JOIN LATERAL (
      SELECT j.id, j.created_at FROM training_jobs j
      WHERE EXISTS (SELECT FROM job_feature_reads f WHERE f.registered_view = v.view AND f.job_id = j.id) AND ${follows}
      ORDER BY j.created_at DESC, j.id DESC LIMIT ${limit}::int) j
    ORDER BY j.created_at DESC, j.id DESC`;
  const found = Map.groupBy(rows, ({ view }) => view);
  return views.map((view) => found.get(view) ?? []);
}

/** `jobsOfViews` of the model versions that came out of the attempts that read them. */
export async function versionsOfViews(
  database: PrismaClient,
  views: readonly string[],
  limit: number,
  after: { readonly name: string; readonly version: string; readonly createdAt: string } | null,
): Promise<VersionOfView[][]> {
  const follows =
    after === null
      ? sql`true`
      : sql`(m.created_at, m.name, m.version) < (${after.createdAt}::timestamptz, ${after.name}, ${after.version})`;
  const rows = await database.$queryRaw<(VersionOfView & { view: string })[]>`
    SELECT v.view, m.name, m.version, m.created_at AS "createdAt"
    FROM unnest(${views}::text[]) AS v(view) CROSS JOIN LATERAL (
      SELECT m.name, m.version, m.created_at FROM job_model_versions m
      WHERE ${follows} AND EXISTS (
        SELECT FROM job_feature_reads f WHERE f.registered_view = v.view AND f.job_id = m.job_id AND f.attempt_id = m.attempt_id)
      ORDER BY m.created_at DESC, m.name DESC, m.version DESC LIMIT ${limit}::int) m
    ORDER BY m.created_at DESC, m.name DESC, m.version DESC`;
  const found = Map.groupBy(rows, ({ view }) => view);
  return views.map((view) => found.get(view) ?? []);
}
