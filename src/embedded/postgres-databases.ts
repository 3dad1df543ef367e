import { createHmac } from 'node:crypto';
import pg from 'pg';

/** The superuser of every embedded cluster. */
export const SUPERUSER = 'postgres';

/** Each has a role of the same name as its owner, and no other role but the superuser can enter it. */
const DATABASES = ['asgard', 'mlflow', 'features'];
/** They make roles for scripts, which may read some of their database. */
const MAKES_ROLES = ['features'];
/** Of PostgreSQL's own, which everybody may enter otherwise: also the roles of scripts. */
const SYSTEM_DATABASES = ['postgres', 'template1'];

/**
 * How to reach a database of the server on `port`: as its owner for our own databases, as the superuser for any other.
 * @param host an address, or the folder of a UNIX socket
 */
export function databaseUrl(port: number, superuserPassword: string, database: string, host = '127.0.0.1'): string {
  const isOurs = DATABASES.includes(database);
  const user = isOurs ? database : SUPERUSER;
  const password = isOurs ? rolePassword(superuserPassword, database) : superuserPassword;
  return `postgresql://${user}:${encodeURIComponent(password)}@${encodeURIComponent(host)}:${port}/${encodeURIComponent(database)}`;
}

/** Whether the server on `port` lets our superuser in. Another server there would not know the password. */
export async function isAnswering(port: number, superuserPassword: string): Promise<boolean> {
  const client = clientOf(port, superuserPassword);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Makes the databases `asgard`, `mlflow` and `features` with their roles, where they are missing. May be cut short and repeated. */
export async function ensureDatabases(port: number, superuserPassword: string): Promise<void> {
  const client = clientOf(port, superuserPassword);
  await client.connect();
  try {
    const found = await client.query<{ kind: string; name: string }>(
      `SELECT 'database' AS kind, datname AS name FROM pg_database UNION ALL SELECT 'role', rolname FROM pg_roles`,
    );
    const has = (kind: string, name: string) => found.rows.some((row) => row.kind === kind && row.name === name);
    for (const name of DATABASES) {
      const password = client.escapeLiteral(rolePassword(superuserPassword, name));
      const rights = MAKES_ROLES.includes(name) ? 'LOGIN CREATEROLE' : 'LOGIN';
      if (!has('role', name)) await client.query(`CREATE ROLE ${name} ${rights} PASSWORD ${password}`);
      if (!has('database', name)) await client.query(`CREATE DATABASE ${name} OWNER ${name}`);
    }
    for (const name of [...DATABASES, ...SYSTEM_DATABASES]) {
      await client.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${name} FROM PUBLIC`);
    }
  } finally {
    await client.end();
  }
  for (const name of MAKES_ROLES) await keepFunctions(port, superuserPassword, name);
}

/**
 * Takes functions from everybody but a database's owner that need no right on anything: they write large objects, or take locks
 * under which the platform works.
 */
async function keepFunctions(port: number, superuserPassword: string, database: string): Promise<void> {
  const client = clientOf(port, superuserPassword, database);
  await client.connect();
  try {
    await client.query(`
      DO $$ DECLARE kept regprocedure; BEGIN
        FOR kept IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
          AND proname ~ '^(lo_creat|lo_create|lo_from_bytea|pg_(try_)?advisory_.*)$'
        LOOP
          EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', kept);
          EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ${database}', kept);
        END LOOP;
      END $$`);
  } finally {
    await client.end();
  }
}

/** Derived, so that one kept secret serves all. */
function rolePassword(superuserPassword: string, role: string): string {
  return createHmac('sha256', superuserPassword).update(role).digest('hex');
}

function clientOf(port: number, password: string, database = SUPERUSER): pg.Client {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: SUPERUSER,
    password,
    database,
    connectionTimeoutMillis: 5_000,
    query_timeout: 30_000,
  });
  // A connection that breaks while idle shows in the next query.
  client.on('error', () => undefined);
  return client;
}
