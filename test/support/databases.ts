import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createDatabase } from '../../src/database/client.ts';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { migrate } from '../../src/database/migrate.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';

const TEMPLATE = 'template_of_tests';

/** A PostgreSQL server of a test file's own, which makes fresh databases: migrated, empty, in some 50 ms each. */
export class DatabasesForTests implements AsyncDisposable {
  readonly #postgres: EmbeddedPostgres;
  readonly #admin: pg.Client;
  readonly #home: string;
  #count = 0;

  static async start(): Promise<DatabasesForTests> {
    await using stack = new AsyncDisposableStack();
    const home = await mkdtemp(join(tmpdir(), 'asgard-databases-'));
    stack.defer(() => rm(home, { recursive: true, force: true }));
    const postgres = stack.use(
      await EmbeddedPostgres.start({ folder: join(home, 'postgres'), logFile: join(home, 'postgres.log') }),
    );
    const admin = new pg.Client({ connectionString: postgres.url('postgres') });
    await admin.connect();
    await admin.query(`CREATE DATABASE ${TEMPLATE}`);
    await migrate(postgres.url(TEMPLATE));
    stack.move();
    return new DatabasesForTests(postgres, admin, home);
  }

  private constructor(postgres: EmbeddedPostgres, admin: pg.Client, home: string) {
    this.#postgres = postgres;
    this.#admin = admin;
    this.#home = home;
  }

  /** The feature store's database, as its owner enters it. */
  get featuresUrl(): string {
    return this.#postgres.url('features');
  }

  /** A new database. Disposing closes its clients; the database goes with the server. */
  async create(): Promise<TestDatabase> {
    this.#count += 1;
    const name = `test_${this.#count}`;
    await this.#admin.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
    return new TestDatabase(this.#postgres.url(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.end();
    await this.#postgres[Symbol.asyncDispose]();
    await rm(this.#home, { recursive: true, force: true });
  }
}

/** One migrated database. */
export class TestDatabase implements AsyncDisposable {
  readonly url: string;
  readonly #stack = new AsyncDisposableStack();
  #client: PrismaClient | undefined;

  constructor(url: string) {
    this.url = url;
  }

  /** The database through Prisma, by one pool that all of a test shares. */
  get client(): PrismaClient {
    this.#client ??= this.connect();
    return this.#client;
  }

  /** Another pool of its own, as another process would have. */
  connect(poolSize = 5): PrismaClient {
    return this.#stack.use(createDatabase(this.url, { poolSize })).client;
  }

  /** A plain connection, for what no code of ours does. */
  async sql(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    this.#stack.defer(() => client.end());
    return client;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
