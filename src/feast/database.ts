import pg from 'pg';
import { untilAborted } from '../platform/abort.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';
import { SCHEMAS } from './settings.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const LOOK_TIMEOUT_MS = 3_000;
const POOL_SIZE = 8;
const SCHEMA_NAMES = Object.values(SCHEMAS);
/** PostgreSQL's code for what a role may not do. */
const INSUFFICIENT_PRIVILEGE = '42501';
/** Its codes for a schema that another connection made at the same moment, which IF NOT EXISTS does not see. */
const MADE_MEANWHILE = ['23505', '42P06'];

const ROLE_AND_PLACES = `
  SELECT current_user AS role, current_database() AS database,
    (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may_make_roles,
    ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname = ANY($1)) AS schemas,
    to_regclass('${SCHEMAS.registry}.feature_views') IS NOT NULL AS has_registry,
    to_regclass('${SCHEMAS.catalog}.iceberg_tables') IS NOT NULL AS has_catalog`;

interface RoleAndPlaces {
  readonly role: string;
  readonly database: string;
  readonly may_make_roles: boolean;
  readonly schemas: readonly string[];
  readonly has_registry: boolean;
  readonly has_catalog: boolean;
}

/** What registry and catalog hold. */
export interface StoreLook {
  readonly featureViews: number;
  readonly tables: number;
  /** Whether Feast's tables are there: they are made with the first feature view. */
  readonly hasRegistry: boolean;
  /** One line: what the role may not do, although the platform goes on without. */
  readonly trouble: string | null;
}

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

  /**
   * Counts what there is, having made the three schemas where they are missing.
   * @throws AsgardError UNAVAILABLE saying why that cannot be done; the signal's reason
   */
  async look(signal: AbortSignal): Promise<StoreLook> {
    return await untilAborted(this.#look(), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }

  async #look(): Promise<StoreLook> {
    const [places] = await this.#query<RoleAndPlaces>(ROLE_AND_PLACES, [SCHEMA_NAMES]);
    if (places === undefined) throw new Error('a query for one row gave none');
    await this.#makeSchemas(places);
    const views = `SELECT count(*)::int AS count FROM ${SCHEMAS.registry}.feature_views`;
    const tables = `SELECT count(*)::int AS count FROM ${SCHEMAS.catalog}.iceberg_tables`;
    return {
      featureViews: places.has_registry ? await this.#count(views) : 0,
      tables: places.has_catalog ? await this.#count(tables) : 0,
      hasRegistry: places.has_registry,
      trouble: places.may_make_roles
        ? null
        : `scripts cannot read features, as the database role ${places.role} may not make roles for them: ALTER ROLE ${pg.escapeIdentifier(places.role)} CREATEROLE`,
    };
  }

  async #makeSchemas({ role, database, schemas }: RoleAndPlaces): Promise<void> {
    for (const name of SCHEMA_NAMES.filter((wanted) => !schemas.includes(wanted))) {
      try {
        await this.#query(`CREATE SCHEMA IF NOT EXISTS ${name}`);
      } catch (error) {
        if (hasSqlState(error, MADE_MEANWHILE)) continue;
        if (!hasSqlState(error, [INSUFFICIENT_PRIVILEGE])) throw error;
        const cure = `GRANT CREATE ON DATABASE ${pg.escapeIdentifier(database)} TO ${pg.escapeIdentifier(role)}, or set FEATURES_DATABASE_URL`;
        const message = `the database role ${role} may not make the schema ${name} in ${database}: ${cure}`;
        throw new AsgardError('UNAVAILABLE', message, { cause: error });
      }
    }
  }

  async #count(sql: string): Promise<number> {
    const [row] = await this.#query<{ count: number }>(sql);
    return row?.count ?? 0;
  }

  async #query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    try {
      const query = { text, values, query_timeout: LOOK_TIMEOUT_MS };
      return (await this.pool.query<Row>(query)).rows;
    } catch (cause) {
      const message = `the feature store's database does not answer: ${reasonOf(cause)}`;
      throw new AsgardError('UNAVAILABLE', message, { cause });
    }
  }
}

/** Of several addresses that were tried, the first one's. */
function reasonOf(error: unknown): string {
  return messageOf(error instanceof AggregateError ? error.errors[0] : error);
}

/** Of what the database answered, which is the cause of what is thrown here. */
function hasSqlState(error: unknown, codes: readonly string[]): boolean {
  if (!(error instanceof AsgardError && error.cause instanceof pg.DatabaseError)) return false;
  const { code } = error.cause;
  return code !== undefined && codes.includes(code);
}
