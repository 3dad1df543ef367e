import { createHash } from 'node:crypto';
import pg from 'pg';

/** One row that is copied many times, together with those of other tables that belong to it. */
export interface CopyPlan {
  readonly databaseUrl: string;
  /** The row's key. */
  readonly key: string;
  readonly tables: readonly CopiedTable[];
  readonly copies: number;
}

export interface CopiedTable {
  readonly name: string;
  /** Where the row's key is. */
  readonly keyColumn: string;
  /** What a copy has of its own beside its key, in SQL over `n`, the copy's number, and `original`, the row. */
  readonly changes?: Readonly<Record<string, string>>;
}

/** The key of the nth copy of a row whose key has so many hexadecimal digits. */
export function copyKey(n: number, length: number): string {
  return createHash('md5').update(String(n)).digest('hex').slice(0, length);
}

/**
 * Copies a real job (or run) with all its rows, so that the tables hold what they would after as many. Needs a superuser:
 * to check each foreign key again would take minutes.
 */
export async function copyRows({ databaseUrl, key, tables, copies }: CopyPlan): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    await client.query('SET session_replication_role = replica');
    for (const { name, keyColumn, changes = {} } of tables) {
      const changed = { [keyColumn]: `left(md5(n::text), ${key.length})`, ...changes };
      const pairs = Object.entries(changed).flatMap(([column, value]) => [client.escapeLiteral(column), value]);
      const statement = `INSERT INTO ${name} SELECT copy.* FROM ${name} AS original, generate_series(1, $2::int) AS n,
        LATERAL jsonb_populate_record(original, jsonb_build_object(${pairs.join(', ')})) AS copy
        WHERE original.${keyColumn} = $1`;
      await client.query(statement, [key, copies]);
    }
    // What autovacuum does within minutes of such a growth.
    for (const { name } of tables) await client.query(`VACUUM ANALYZE ${name}`);
  });
}

/** Makes an empty database. */
export async function createDatabase(superuserUrl: string, name: string): Promise<void> {
  await withClient(superuserUrl, (client) => client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`));
}

async function withClient(connectionString: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString });
  // A server that is ended while nothing is asked; a statement under way fails by itself.
  client.on('error', () => {});
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
