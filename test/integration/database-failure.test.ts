import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/database/client.ts';
import { expectedFailure } from '../../src/database/failure.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';

describe.each(['url', 'socketUrl'] as const)('a database that is reached by its %s', (way) => {
  it('whatever was under way when the database was shut down failed as UNAVAILABLE, and what comes then does too', async () => {
    await using stack = new AsyncDisposableStack();
    const home = await mkdtemp(join(tmpdir(), 'asgard-failure-'));
    stack.defer(() => rm(home, { recursive: true, force: true }));
    const options = { folder: join(home, 'postgres'), logFile: join(home, 'postgres.log') };
    const postgres = stack.use(await EmbeddedPostgres.start(options));
    const { client } = stack.use(createDatabase(postgres[way]('asgard'), { poolSize: 5 }));

    const failureOf = (work: Promise<unknown>) => work.then(() => undefined, expectedFailure);
    const isUnderWay = Promise.withResolvers<void>();
    const underWay = [
      failureOf(client.$queryRaw`SELECT pg_sleep(30)::text`),
      failureOf(
        client.$transaction(async (transaction) => {
          await transaction.$queryRaw`SELECT 1`;
          isUnderWay.resolve();
          await postgres.exited;
          await transaction.$queryRaw`SELECT 1`;
        }),
      ),
    ];
    await isUnderWay.promise;
    await postgres[Symbol.asyncDispose]();
    const after = [
      failureOf(client.$queryRaw`SELECT 1`),
      failureOf(client.$transaction((transaction) => transaction.$queryRaw`SELECT 1`)),
    ];
    for (const failure of await Promise.all([...underWay, ...after])) {
      expect(failure).toMatchObject({ code: 'UNAVAILABLE' });
    }

    stack.use(await EmbeddedPostgres.start(options));
    await expect(client.$queryRaw`SELECT 1 AS one`).resolves.toEqual([{ one: 1 }]);
  });
});
