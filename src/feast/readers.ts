import pg from 'pg';
import { SCHEMAS } from './settings.ts';

/** Of the schemas that scripts read. */
const READABLE = [SCHEMAS.registry, SCHEMAS.catalog].join(', ');
/** Two that make the group at once would fail each other. */
const GROUP_LOCK = 4_937_002;

/**
 * Makes the group of roles that may read Feast's registry and the Iceberg catalog, and nothing else. Safe to repeat; tables
 * that are made later are readable too.
 * @returns its name
 */
export async function makeReaders(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ oid: string; database: string }>(
    'SELECT oid::text, datname AS database FROM pg_database WHERE datname = current_database()',
  );
  const [{ oid, database } = { oid: '', database: '' }] = rows; // one is connected to a database that is there
  // Roles are of the whole server: a group of another database's must not be able to read this one.
  const group = `asgard_reader_${oid}`;
  await pool.query(`
    SELECT pg_advisory_xact_lock(${GROUP_LOCK});
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${group}') THEN CREATE ROLE ${group}; END IF;
    END $$;
    GRANT CONNECT ON DATABASE ${pg.escapeIdentifier(database)} TO ${group};
    GRANT USAGE ON SCHEMA ${READABLE} TO ${group};
    GRANT SELECT ON ALL TABLES IN SCHEMA ${READABLE} TO ${group};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${READABLE} GRANT SELECT ON TABLES TO ${group}`);
  return group;
}
