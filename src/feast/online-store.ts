import pg from 'pg';
import { z } from 'zod';
import { AsgardError, messageOf } from '../platform/errors.ts';
import { registryVersion } from './registry-version.ts';
import { SCHEMAS } from './settings.ts';
import { type FeatureValue, featureValue } from './value-proto.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const READ_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 8;
/** So many are held open, so that a read after a pause need not connect and plan. */
const WARM_CONNECTIONS = 2;
const IDLE_MS = 60_000;
/**
 * A statement is planned once for each connection, not anew for the keys of each call. It
 * always goes by the index: a plan of a time when the table was small must not outlive that.
 */
const SESSION = [
  'plan_cache_mode=force_generic_plan',
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'jit=off',
];
/** PostgreSQL keeps a prepared statement for each name on each connection: those beyond are planned each time. */
const MAX_PREPARED = 200;

/** What is wanted of one view. */
export interface OnlineRead {
  /** The view's table in the online store. */
  readonly table: string;
  readonly features: readonly string[];
  /** Serialized entity keys; each once. */
  readonly keys: readonly Buffer[];
}

/** One feature of one entity. */
export interface OnlineValue {
  readonly value: FeatureValue;
  /** Milliseconds since 1970, with microseconds as fraction. */
  readonly eventAtMs: number;
}

/** The values of one view: those of the nth key by their features' names. An entity that is not there has none. */
export type OnlineValues = readonly ReadonlyMap<string, OnlineValue>[];

type Row = [read: number, key: number, feature: string, value: Buffer, eventAtMs: number];

const undefinedTable = z.object({ code: z.literal('42P01') });

/**
 * Feast's online store on PostgreSQL, read without Feast: one statement for any number of views and entities. Connects with
 * the first of them; disposing closes its connections.
 */
export class OnlineStore implements AsyncDisposable {
  readonly #pool: pg.Pool;
  /** The name of each statement that is prepared. */
  readonly #prepared = new Map<string, string>();

  /** @param databaseUrl of the database with Feast's schemas */
  constructor(databaseUrl: string) {
    this.#pool = new pg.Pool({
      connectionString: databaseUrl,
      max: MAX_CONNECTIONS,
      min: WARM_CONNECTIONS,
      idleTimeoutMillis: IDLE_MS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: READ_TIMEOUT_MS,
      statement_timeout: READ_TIMEOUT_MS,
      keepAlive: true,
      options: SESSION.map((setting) => `-c ${setting}`).join(' '),
      application_name: 'asgard-online',
    });
    // A connection that breaks while idle is replaced for the next read.
    this.#pool.on('error', () => undefined);
  }

  /** Tells one state of Feast's registry from another; null while there is none. @throws AsgardError UNAVAILABLE */
  registryVersion(): Promise<string | null> {
    return registryVersion(this.#pool);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }

  /**
   * The values that are there, one list for each read, in the order of `reads`.
   * @throws AsgardError CONFLICT when a table is gone, or holds a value of a kind that is not known; UNAVAILABLE when the database does not answer within 5 s
   */
  async read(reads: readonly OnlineRead[]): Promise<OnlineValues[]> {
    const found = reads.map(({ keys }) => keys.map(() => new Map<string, OnlineValue>()));
    for (const [read, key, feature, bytes, eventAtMs] of await this.#query(reads)) {
      found[read]?.[key - 1]?.set(feature, { value: readable(bytes, feature), eventAtMs });
    }
    return found;
  }

  async #query(reads: readonly OnlineRead[]): Promise<Row[]> {
    const text = reads.map(({ table }, index) => selectOf(table, index)).join(' UNION ALL ');
    const values = reads.flatMap(({ keys, features }) => [keys, features]);
    const name = this.#nameOf(text);
    const query = { text, values, rowMode: 'array' as const };
    try {
      const { rows } = await this.#pool.query<Row>(name === undefined ? query : { ...query, name });
      return rows;
    } catch (error) {
      if (undefinedTable.safeParse(error).success) {
        throw new AsgardError('CONFLICT', 'a feature view was deleted or made anew meanwhile; try again', {
          cause: error,
        });
      }
      throw new AsgardError('UNAVAILABLE', `the online store does not answer: ${messageOf(error)}`, { cause: error });
    }
  }

  #nameOf(text: string): string | undefined {
    const known = this.#prepared.get(text);
    if (known !== undefined || this.#prepared.size >= MAX_PREPARED) return known;
    const name = `asgard_online_${this.#prepared.size}`;
    this.#prepared.set(text, name);
    return name;
  }
}

function readable(bytes: Buffer, feature: string): FeatureValue {
  try {
    return featureValue(bytes);
  } catch (cause) {
    const message = `a value of the feature ${feature} in the online store cannot be read: ${messageOf(cause)}`;
    throw new AsgardError('CONFLICT', message, { cause });
  }
}

/** Rows of the nth read; its keys and features are the parameters 2n + 1 and 2n + 2. */
function selectOf(table: string, index: number): string {
  const [keys, features] = [`$${2 * index + 1}::bytea[]`, `$${2 * index + 2}::text[]`];
  const target = `${SCHEMAS.online}.${pg.escapeIdentifier(table)}`;
  return (
    `SELECT ${index} AS read, k.place::int, t.feature_name, t.value, ` +
    `date_part('epoch', t.event_ts) * 1000 AS event_at ` +
    `FROM unnest(${keys}) WITH ORDINALITY AS k (entity_key, place) JOIN ${target} AS t USING (entity_key) ` +
    `WHERE t.feature_name = ANY (${features})`
  );
}
