import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { FeaturesDatabase } from './database.ts';
import { makeReaders } from './readers.ts';

/** Feast and pyiceberg hold a connection or two each; a script may have some processes. */
const CONNECTIONS = 10;
/** A script may ask for longer itself; its deadline and its connections bound it then. */
const STATEMENT_TIMEOUT = '60s';
const NAME = /^asgard_job_([0-9a-f]{16})_(\d{1,9})$/;

/** An attempt at a job, whose script the role is for. */
export interface RoleHolder {
  readonly jobId: string;
  readonly attempt: number;
}

/** A role that is there. */
export interface ScriptRole extends RoleHolder {
  /** Nobody comes in by its password after that. */
  readonly validUntil: Date;
}

/**
 * The PostgreSQL roles of scripts that use the feature store, one for an attempt: it reads Feast's registry and the Iceberg
 * catalog, and nothing else.
 */
export class ScriptRoles {
  readonly #pool: pg.Pool;
  readonly #url: string;
  /** The role that may read, of which each script's is a member. */
  #group: Promise<string> | undefined;

  /** @param url of the same database, as scripts reach it; its user is replaced */
  constructor(database: Pick<FeaturesDatabase, 'pool'>, url: string) {
    this.#pool = database.pool;
    this.#url = url;
  }

  /**
   * Makes an attempt's role, in place of what an earlier try left.
   * @returns the database's URL with it
   * @throws AsgardError UNAVAILABLE when the platform's own role may not make any; PostgreSQL's error
   */
  async make(holder: RoleHolder, validUntil: Date): Promise<string> {
    const name = nameOf(holder);
    const password = randomBytes(24).toString('base64url');
    this.#group ??= makeReaders(this.#pool);
    const group = await this.#group.catch((error: unknown) => {
      this.#group = undefined;
      throw error;
    });
    await this.#pool.query(`
      DROP ROLE IF EXISTS ${name};
      CREATE ROLE ${name} LOGIN PASSWORD ${pg.escapeLiteral(password)} IN ROLE ${group}
        VALID UNTIL ${pg.escapeLiteral(validUntil.toISOString())} CONNECTION LIMIT ${CONNECTIONS};
      GRANT ${name} TO CURRENT_USER;
      ALTER ROLE ${name} SET default_transaction_read_only = on;
      ALTER ROLE ${name} SET statement_timeout = '${STATEMENT_TIMEOUT}';
      ALTER ROLE ${name} SET idle_in_transaction_session_timeout = '${STATEMENT_TIMEOUT}'`);
    const url = new URL(this.#url);
    url.username = name;
    url.password = password;
    return url.href;
  }

  /** Ends an attempt's role and whoever is connected as it. Nothing happens when there is none. */
  async drop(holder: RoleHolder): Promise<void> {
    const name = nameOf(holder);
    const { rowCount } = await this.#pool.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
    if (rowCount === 0) return;
    // First, so that nobody comes in after those that are there have been ended. A role may be dropped under its sessions.
    await this.#pool.query(`ALTER ROLE ${name} NOLOGIN`);
    await this.#pool.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [name]);
    await this.#pool.query(`DROP ROLE IF EXISTS ${name}`);
  }

  /** All that are there, also those of other platforms on the server. */
  async list(): Promise<ScriptRole[]> {
    const { rows } = await this.#pool.query<{ name: string; validUntil: Date | null }>(
      `SELECT rolname AS name, rolvaliduntil AS "validUntil" FROM pg_roles WHERE rolname LIKE 'asgard\\_job\\_%'`,
    );
    return rows.flatMap(({ name, validUntil }) => {
      const [, jobId, attempt] = NAME.exec(name) ?? [];
      if (jobId === undefined || validUntil === null) return [];
      return [{ jobId, attempt: Number(attempt), validUntil }];
    });
  }
}

function nameOf({ jobId, attempt }: RoleHolder): string {
  const name = `asgard_job_${jobId}_${attempt}`;
  if (!NAME.test(name)) throw new Error(`${name} is no name of a script's role`);
  return name;
}
