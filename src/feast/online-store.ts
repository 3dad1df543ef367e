import pg from 'pg';
import { z } from 'zod';
import { AsgardError, messageOf } from '../platform/errors.ts';
import { SCHEMAS } from './settings.ts';
import { type FeatureValue, featureValue } from './value-proto.ts';

const READ_TIMEOUT_MS = 5_000;
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

/** Feast's online store on PostgreSQL, read without Feast: one statement for any number of views and entities. */
export class OnlineStore {
  readonly #pool: pg.Pool;
  /** The name of each statement that is prepared. */
  readonly #prepared = new Map<string, string>();

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /**
   * The values that are there, one list for each read, in the order of `reads`.
   * @throws AsgardError CONFLICT when a table is gone; UNAVAILABLE when the database does not answer within 5 s
   */
  async read(reads: readonly OnlineRead[]): Promise<OnlineValues[]> {
    const found = reads.map(({ keys }) => keys.map(() => new Map<string, OnlineValue>()));
    for (const [read, key, feature, value, eventAtMs] of await this.#query(reads)) {
      found[read]?.[key - 1]?.set(feature, { value: featureValue(value), eventAtMs });
    }
    return found;
  }

  async #query(reads: readonly OnlineRead[]): Promise<Row[]> {
    const text = reads.map(({ table }, index) => selectOf(table, index)).join(' UNION ALL ');
    const values = reads.flatMap(({ keys, features }) => [keys, features]);
    const name = this.#nameOf(text);
    const query = { text, values, rowMode: 'array' as const, query_timeout: READ_TIMEOUT_MS };
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

/** Rows of the nth read; its keys and features are the parameters 2n + 1 and 2n + 2. */
function selectOf(table: string, index: number): string {
  const [keys, features] = [`$${2 * index + 1}::bytea[]`, `$${2 * index + 2}::text[]`];
  const target = `${SCHEMAS.online}.${pg.escapeIdentifier(table)}`;
  return (
    `SELECT ${index} AS read, k.place::int, t.feature_name, t.value, ` +
    `extract(epoch FROM t.event_ts)::float8 * 1000 AS event_at ` +
    `FROM unnest(${keys}) WITH ORDINALITY AS k (entity_key, place) JOIN ${target} AS t USING (entity_key) ` +
    `WHERE t.feature_name = ANY (${features})`
  );
}
