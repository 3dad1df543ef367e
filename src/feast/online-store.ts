import pg from 'pg';
import { z } from 'zod';
import { AsgardError, messageOf } from '../platform/errors.ts';
import { byteaArray, RecordReader } from './pg-binary.ts';
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
  // A key has a few rows, next to each other: to make a map of their blocks first takes longer.
  'enable_bitmapscan=off',
  'jit=off',
];
/** PostgreSQL keeps a prepared statement for each name on each connection: those beyond are planned each time. */
const MAX_PREPARED = 200;
/** Of the values that are read at once, as they are stored: they pass through a string, and an answer is made of them. */
const MAX_VALUE_BYTES = 32 * 1024 * 1024;

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

/** The values of one view by its features' names, in the order of the keys. An entity that is not there has none. */
export type OnlineValues = ReadonlyMap<string, readonly (OnlineValue | undefined)[]>;

/** What was found of one view; no records when that is nothing, or more than `MAX_VALUE_BYTES`. */
type Row = [read: number, valueBytes: string | null, records: Buffer | null];

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
   * The values that are there, for each read in the order of `reads`.
   * @throws AsgardError CONFLICT when a table is gone, or holds a value of a kind that is not known; TOO_LARGE for more than 32 MiB of values of one view; UNAVAILABLE when the database does not answer within 5 s
   */
  async read(reads: readonly OnlineRead[]): Promise<OnlineValues[]> {
    const found = reads.map(
      ({ features, keys }) => new Map(features.map((feature) => [feature, emptyColumn(keys.length)])),
    );
    for (const [read, valueBytes, records] of await this.#query(reads)) {
      if (records === null) checkSize(valueBytes);
      else fill(found[read], records);
    }
    return found;
  }

  async #query(reads: readonly OnlineRead[]): Promise<Row[]> {
    const text = reads.map(({ table }, index) => selectOf(table, index)).join(' UNION ALL ');
    const values = reads.flatMap(({ keys, features }) => [byteaArray(keys), features]);
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

function emptyColumn(length: number): (OnlineValue | undefined)[] {
  return new Array<OnlineValue | undefined>(length).fill(undefined);
}

function checkSize(valueBytes: string | null): void {
  if (valueBytes === null) return;
  const [size, limit] = [Number(valueBytes), MAX_VALUE_BYTES].map((bytes) => `${Math.ceil(bytes / 1024 ** 2)} MiB`);
  const message = `the values of a feature view are ${size}, and at most ${limit} are answered at once: ask for fewer entities or features`;
  throw new AsgardError('TOO_LARGE', message);
}

/** @param records rows of place, feature, value and time, as `selectOf` has them */
function fill(columns: ReadonlyMap<string, (OnlineValue | undefined)[]> | undefined, records: Buffer): void {
  for (const rows = new RecordReader(records); rows.next(); ) {
    const place = rows.int32();
    const feature = rows.text();
    const value = readable(rows, feature);
    const column = columns?.get(feature);
    if (column !== undefined) column[place - 1] = value;
  }
}

function readable(rows: RecordReader, feature: string): OnlineValue {
  try {
    return { value: featureValue(rows.bytes()), eventAtMs: rows.timestampMs() };
  } catch (cause) {
    const message = `a value of the feature ${feature} in the online store cannot be read: ${messageOf(cause)}`;
    throw new AsgardError('CONFLICT', message, { cause });
  }
}

/**
 * One row for the nth read; its keys and features are the parameters 2n + 1 and 2n + 2. All that was found is in one value: to
 * read it takes Node half of what hundreds of rows do, and PostgreSQL no less than before.
 */
function selectOf(table: string, index: number): string {
  const [keys, features] = [`$${2 * index + 1}::bytea[]`, `$${2 * index + 2}::text[]`];
  const target = `${SCHEMAS.online}.${pg.escapeIdentifier(table)}`;
  const size = 'sum(octet_length(t.value))';
  const records = `string_agg(record_send(ROW(k.place::int, t.feature_name, t.value, t.event_ts)), '')`;
  return (
    `SELECT ${index} AS read, ${size} AS value_bytes, CASE WHEN ${size} <= ${MAX_VALUE_BYTES} THEN ${records} END AS records ` +
    `FROM unnest(${keys}) WITH ORDINALITY AS k (entity_key, place) JOIN ${target} AS t USING (entity_key) ` +
    `WHERE t.feature_name = ANY (${features})`
  );
}
