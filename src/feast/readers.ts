import pg from 'pg';
import { AsgardError } from '../platform/errors.ts';
import { SCHEMAS } from './settings.ts';

/** Of the schemas that scripts read. */
const READABLE = [SCHEMAS.registry, SCHEMAS.catalog].join(', ');
/** Under which the group is made: two that do it at once would fail each other. */
const GROUP_LOCK = 4_937_002;

const PLACE = `
  SELECT oid::text, datname AS database, current_user AS role,
    (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) AS "mayMakeRoles"
  FROM pg_database WHERE datname = current_database()`;

interface Place {
  readonly oid: string;
  readonly database: string;
  readonly role: string;
  readonly mayMakeRoles: boolean;
}

/**
 * Makes the group of roles that may read Feast's registry and the Iceberg catalog, and nothing else. Safe to repeat; tables
 * that are made later are readable too.
 * @returns its name
 * @throws AsgardError UNAVAILABLE when the platform's own role may not make any; PostgreSQL's error
 */
export async function makeReaders(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<Place>(PLACE);
  const [place] = rows;
  if (place === undefined) throw new Error('a query for one row gave none');
  const { oid, database, role, mayMakeRoles } = place;
  if (!mayMakeRoles) {
    const cure = `ALTER ROLE ${pg.escapeIdentifier(role)} CREATEROLE, or FEATURES_DATABASE_URL`;
    throw new AsgardError('UNAVAILABLE', `the database role ${role} may not make one that reads features: ${cure}`);
  }
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
