import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from './generated/client.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 30_000;

/** The database through Prisma. Whoever made it disposes of it, which closes its connections. */
export interface Database extends AsyncDisposable {
  readonly client: PrismaClient;
}

/**
 * A client with a pool of its own. It connects with its first query, which fails after 10 seconds without a connection;
 * a statement is ended after 30 seconds.
 * @param options.poolSize most connections at once
 */
export function createDatabase(url: string, { poolSize }: { poolSize: number }): Database {
  const adapter = new PrismaPg({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
  });
  // A burst waits for a connection rather than fail.
  const client = new PrismaClient({ adapter, transactionOptions: { maxWait: 10_000, timeout: 20_000 } });
  return { client, [Symbol.asyncDispose]: () => client.$disconnect() };
}
