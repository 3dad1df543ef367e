import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { messageOf } from '../platform/errors.ts';
import { type Migration, migrationList, readMigrations } from './migrations-folder.ts';

/** Any constant that nothing else in the database takes: it keeps replicas that start at once from migrating together. */
const LOCK_KEY = 4_157_114_726;
const LOCK_TIMEOUT_MS = 120_000;
const QUERY_TIMEOUT_MS = 150_000;
const PRISMA_FOLDER = resolve(import.meta.dirname, '../../prisma');

interface AppliedRow {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
}

/**
 * Brings a database to the state of `prisma/migrations`, keeping Prisma's own table `_prisma_migrations`. When all of them
 * are there already it only compares names and checksums (some ms). Safe to call from many processes at once.
 * Migrations that the database has and the folder has not are left alone: they are of a newer Asgard.
 * @param folder what holds `schema.prisma` and `migrations/`
 * @returns the names of those that were applied now
 * @throws Error naming the migration that failed, now or before, or that was altered after it had been applied
 */
export async function migrate(url: string, folder = PRISMA_FOLDER): Promise<string[]> {
  const migrationsFolder = join(folder, 'migrations');
  const migrations = await readMigrations(migrationsFolder);
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    query_timeout: QUERY_TIMEOUT_MS,
  });
  client.on('error', () => undefined); // a connection that breaks while idle shows in the next query
  await client.connect();
  try {
    if (isUpToDate(migrations, await appliedRows(client))) return [];
    await client.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY]);
    // Another replica may have applied them while this one waited.
    const names = missing(migrations, await appliedRows(client)).map((migration) => migration.name);
    if (names.length === 0) return [];
    const { loadSchemaEngine } = await import('./schema-engine.ts');
    await using loaded = await loadSchemaEngine(url, await readFile(join(folder, 'schema.prisma'), 'utf8'));
    try {
      const { appliedMigrationNames } = await loaded.engine.applyMigrations({
        migrationsList: await migrationList(migrationsFolder, migrations),
        filters: { externalTables: [], externalEnums: [] },
      });
      return appliedMigrationNames;
    } catch (cause) {
      throw new Error(`the database could not be migrated (to do: ${names.join(', ')}): ${messageOf(cause)}`, {
        cause,
      });
    }
  } finally {
    await client.end(); // which releases the lock too
  }
}

/** Read without the lock: another replica may be in the middle of a migration, so anything else than "all done" says nothing. */
function isUpToDate(migrations: readonly Migration[], rows: readonly AppliedRow[]): boolean {
  return migrations.every(({ name, checksum }) =>
    rows.some((row) => row.migration_name === name && row.checksum === checksum && row.finished_at !== null),
  );
}

/** What is still to be applied. @throws when what was applied is not what the folder holds */
function missing(migrations: readonly Migration[], rows: readonly AppliedRow[]): Migration[] {
  return migrations.filter(({ name, checksum }) => {
    const row = rows.find((candidate) => candidate.migration_name === name);
    if (row === undefined) return true;
    if (row.finished_at === null) {
      const cure = `UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = '${name}'`;
      throw new Error(`the migration ${name} failed before; once its cause is mended, allow another try with: ${cure}`);
    }
    if (row.checksum !== checksum) {
      throw new Error(
        `the migration ${name} was altered after it had been applied; restore its file and write a new one`,
      );
    }
    return false;
  });
}

async function appliedRows(client: pg.Client): Promise<AppliedRow[]> {
  const table = await client.query<{ found: boolean }>(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS found`);
  if (table.rows[0]?.found !== true) return [];
  const applied = await client.query<AppliedRow>(
    'SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL',
  );
  return applied.rows;
}
