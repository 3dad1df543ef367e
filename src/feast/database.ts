import pg from 'pg';
import { SCHEMAS } from './settings.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const POOL_SIZE = 8;

/** The database of the feature store as Node reads it. Connects with the first query; disposing closes its connections. */
export class FeaturesDatabase implements AsyncDisposable {
  /** Its queries fail after 5 s without a connection, and after 30 s without an answer. */
  readonly pool: pg.Pool;

  constructor(url: string) {
    this.pool = new pg.Pool({
      connectionString: url,
      max: POOL_SIZE,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: STATEMENT_TIMEOUT_MS,
      application_name: 'asgard-features',
    });
    // A connection that breaks while idle shows in the next query.
    this.pool.on('error', () => undefined);
  }

  /** Makes the three schemas, where they are missing. @throws PostgreSQL's error, as when the role may not */
  async ensureSchemas(): Promise<void> {
    const names = Object.values(SCHEMAS);
    const { rows } = await this.pool.query<{ nspname: string }>(
      'SELECT nspname FROM pg_namespace WHERE nspname = ANY($1)',
      [names],
    );
    for (const name of names) {
      // IF NOT EXISTS asks for the right to create also where there is nothing to do.
      if (!rows.some(({ nspname }) => nspname === name)) await this.pool.query(`CREATE SCHEMA IF NOT EXISTS ${name}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }
}
