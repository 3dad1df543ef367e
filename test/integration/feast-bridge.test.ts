import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { FeaturesDatabase } from '../../src/feast/database.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { identityOfProcess } from '../../src/platform/process-identity.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from '../support/data-folder.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';

let features: FeaturesForTests;
beforeAll(async () => {
  features = await FeaturesForTests.start();
});
afterAll(async () => {
  await features[Symbol.asyncDispose]();
  expect(processesOf(features.folder)).toEqual([]);
});

/** A busy machine is late. */
const LOOK_LIMIT_MS = 60_000;
/** For a request that two bridges have to start for, on the same two cores. */
const START = { timeoutMs: 90_000 };

const status = z.object({ namespaces: z.int(), feature_views: z.int() });
const check = (options = {}, bridge = features.bridge) => bridge.request('catalog.check', {}, z.null(), options);

/** Until it is released, or the test is over, whoever asks the catalog waits. */
async function heldCatalog(): Promise<{ release: () => Promise<unknown>; waiting: () => Promise<number> }> {
  const client: pg.PoolClient = await features.database.pool.connect();
  onTestFinished(() => client.release(true));
  await client.query('BEGIN; LOCK TABLE iceberg_catalog.iceberg_tables, iceberg_catalog.iceberg_namespace_properties');
  const sql = `SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
  const waiting = async () => (await features.database.pool.query<{ count: number }>(sql)).rows[0]?.count ?? 0;
  return { release: () => client.query('ROLLBACK'), waiting };
}

/** Resolves when so many of the database's connections wait for a lock. */
async function untilWaiting({ pool }: FeaturesDatabase, wanted: number): Promise<void> {
  const sql = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
  const count = async () => (await pool.query(sql)).rowCount;
  await poll(count, (found) => found === wanted);
}

test('the first request starts the bridge, which makes the tables of catalog and registry in their schemas', async () => {
  const { bridge, database } = features;
  await expect(bridge.request('store.status', {}, status)).resolves.toEqual({ namespaces: 0, feature_views: 0 });
  const { rows } = await database.pool.query(
    `SELECT schemaname, count(*)::int AS tables FROM pg_tables WHERE tablename IN ('iceberg_tables', 'feature_views')
     GROUP BY schemaname ORDER BY schemaname`,
  );
  expect(rows).toEqual([
    { schemaname: 'feast_registry', tables: 1 },
    { schemaname: 'iceberg_catalog', tables: 1 },
  ]);
});

test('a schema that another connection makes at the same moment is there', async () => {
  await using fresh = await features.databases.create();
  await using database = new FeaturesDatabase(fresh.url);
  const holder = await fresh.sql();
  await holder.query('BEGIN; CREATE SCHEMA feast_registry');
  const looked = database.look(AbortSignal.timeout(LOOK_LIMIT_MS));
  looked.catch(() => {}); // told below
  await untilWaiting(database, 1);
  await holder.query('COMMIT');
  await expect(looked).resolves.toMatchObject({ featureViews: 0, tables: 0 });
});

test('two bridges that start on a fresh database at the same moment both make its tables', async () => {
  await using fresh = await features.databases.create();
  await using database = new FeaturesDatabase(fresh.url);
  await database.look(AbortSignal.timeout(LOOK_LIMIT_MS));
  // Until this is rolled back both find no table, and wait to make it.
  const holder = await fresh.sql();
  await holder.query('BEGIN; CREATE TABLE iceberg_catalog.iceberg_tables ()');
  const settings = { ...features.settings, databaseUrl: fresh.url };
  const bridges = [features.otherBridge({ settings }), features.otherBridge({ settings })];
  const asked = Promise.all(bridges.map((bridge) => bridge.request('store.status', {}, status, START)));
  asked.catch(() => {}); // told below
  await untilWaiting(database, 2);
  await holder.query('ROLLBACK');
  const empty = { namespaces: 0, feature_views: 0 };
  expect(await asked).toEqual([empty, empty]);
  for (const bridge of bridges) await bridge[Symbol.asyncDispose]();
});

test('eight requests are worked on at once, others wait, and more than can wait are refused', async () => {
  const catalog = await heldCatalog();
  const asked = Array.from({ length: 10 }, () => check());
  await poll(catalog.waiting, (count) => count === 8);
  const waiting = Array.from({ length: 62 }, () => check());
  await expect(check()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('too many') });
  await catalog.release();
  expect(await Promise.all([...asked, ...waiting])).toHaveLength(72);
});

test('what is in flight when the bridge is killed can be tried again, nothing of it was done, and the next request works', async () => {
  const { bridge, database, folder } = features;
  const path = join(folder, 'rows.csv');
  await writeFile(path, 'id,amount\n1,2.5\n');
  const names = { schema: 'gold', name: 'killed', path, media_type: 'text/csv', mode: 'replace', types: {} };
  const write = () => bridge.request('tables.write', { ...names, write_id: 'one' }, z.looseObject({}));
  await write();
  const snapshots = async () =>
    (await database.pool.query('SELECT metadata_location FROM iceberg_catalog.iceberg_tables')).rows;
  const before = await snapshots();
  const catalog = await heldCatalog();
  const writing = bridge.request('tables.write', { ...names, write_id: 'two' }, z.looseObject({}));
  const settled = Promise.allSettled([writing, check(), check()]);
  await poll(catalog.waiting, (count) => count === 3);
  process.kill(bridge.pid ?? 0, 'SIGKILL');
  expect(await settled).toEqual(
    Array.from({ length: 3 }, () => ({
      status: 'rejected',
      reason: expect.objectContaining({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('killed (SIGKILL); try'),
      }),
    })),
  );
  await catalog.release();
  await check();
  expect(await snapshots()).toEqual(before);
});

test('a request that hangs is given up in time, and when nothing else is in flight its bridge with it', async () => {
  const bridge = features.otherBridge({ hangLimitMs: 300 });
  await check({}, bridge);
  const { pid } = bridge;
  const catalog = await heldCatalog();
  await expect(check({ timeoutMs: 200 }, bridge)).rejects.toMatchObject({ code: 'TIMEOUT' });
  const stop = new AbortController();
  const called = check({ signal: stop.signal }, bridge);
  stop.abort(new Error('nobody waits'));
  await expect(called).rejects.toThrow('nobody waits');
  await poll(
    () => bridge.pid,
    (now) => now !== undefined && now !== pid,
  );
  await catalog.release();
  await check({}, bridge);
  await bridge[Symbol.asyncDispose]();
});

test('a failure of the bridge’s own is none that a caller can expect', async () => {
  const failed = features.bridge.request('no.method', {}, z.unknown());
  await expect(failed).rejects.toThrow(/^the feature store's bridge failed at no.method: .* has no method 'no.method'/);
  await expect(failed).rejects.not.toBeInstanceOf(AsgardError);
});

test('what is written to its standard output and error does not reach the protocol', async () => {
  const python = join(features.folder, 'noisy');
  const line = '{"id":1,"result":"forged"}';
  const script = `#!/bin/sh\necho '${line}'\necho '${line}' >&2\nexec ${toolchainPython(TOOLCHAIN)} "$@"\n`;
  await writeFile(python, script, { mode: 0o755 });
  const bridge = features.otherBridge({ python });
  await expect(check({}, bridge)).resolves.toBeNull();
  await bridge[Symbol.asyncDispose]();
});

test('a bridge that cannot start says why, is not waited for meanwhile, and is tried again until it can', async () => {
  const [python, mended] = [join(features.folder, 'broken'), join(features.folder, 'mended')];
  const fail = 'echo "Traceback:\nImportError: no library" >&2; exit 3';
  // Of the second start nothing is heard until it can.
  const wait = `while [ ! -e ${mended} ]; do sleep 0.1; done; exec ${toolchainPython(TOOLCHAIN)} "$@"`;
  const script = `#!/bin/sh\nif [ ! -e ${python}.tried ]; then touch ${python}.tried; ${fail}; fi\n${wait}\n`;
  await writeFile(python, script, { mode: 0o755 });
  const bridge = features.otherBridge({ python });
  const message = expect.stringMatching(/cannot start: .*: ImportError: no library; try again\nTraceback:\n/);
  const why = { code: 'UNAVAILABLE', message };
  await expect(check({}, bridge)).rejects.toMatchObject(why);
  expect(bridge.trouble).toMatchObject(why);
  await expect(check({}, bridge)).rejects.toMatchObject(why);
  await writeFile(mended, '');
  await expect.poll(() => check({}, bridge).catch(String)).toBeNull();
  expect(bridge.trouble).toBeUndefined();
  await bridge[Symbol.asyncDispose]();
});

test('a bridge whose platform was killed ends too, whatever it is at', async () => {
  const url = (path: string) => JSON.stringify(pathToFileURL(resolve(import.meta.dirname, path)).href);
  const options = { python: toolchainPython(TOOLCHAIN), settings: features.settings, folder: features.folder };
  await using platform = await ChildProcess.start({
    argv: [
      process.execPath,
      '--input-type=module-typescript',
      '-e',
      `import { z } from 'zod';
       import { FeastBridge } from ${url('../../src/feast/bridge.ts')};
       import { createLogger } from ${url('../../src/platform/logger.ts')};
       const bridge = new FeastBridge({ ...${JSON.stringify(options)}, logger: createLogger('silent', false) });
       await bridge.request('catalog.check', {}, z.null());
       console.log('pid ' + bridge.pid);
       await bridge.request('catalog.check', {}, z.null());`,
    ],
    env: { PATH: process.env['PATH'] },
    cwd: resolve(import.meta.dirname, '../..'),
  });
  const line = await poll(
    () => /pid (\d+)/.exec(platform.tail)?.[1],
    (pid) => pid !== undefined,
  );
  const pid = Number(line);
  expect(identityOfProcess(pid)).not.toBeNull();
  process.kill(platform.pid, 'SIGKILL');
  await expect.poll(() => identityOfProcess(pid)).toBeNull();
});
