import { afterAll, beforeAll, expect, it } from 'vitest';
import { Listener } from '../../src/database/listen.ts';
import {
  CHECKED_CHANNEL,
  forgetCheck,
  recordCheck,
  recordCompiled,
  servableVersion,
  servableVersions,
} from '../../src/models/servable-versions.ts';
import { VersionLease } from '../../src/models/version-lease.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';

let server: DatabasesForTests;
let test: TestDatabase;

beforeAll(async () => {
  server = await DatabasesForTests.start();
  test = await server.create();
});
afterAll(async () => {
  await test?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const SERVABLE = { refusal: null, loadSeconds: 0.2, p50Ms: 1.5, peakMemoryBytes: 2 ** 33 + 0.5 };
const COMPILED = { status: 'COMPILED', compiledKey: 'key', proof: { rows: 1000 } } as const;

it('what is known of a version is of that very registration, however late a word of an older one comes', async () => {
  const { client: database } = test;
  const old = { name: 'churn', version: '1', createdAt: new Date(1_000) };
  const anew = { ...old, createdAt: new Date(2_000) };
  const other = { ...anew, version: '2' };

  await recordCheck(database, old, 'job-1', { ...SERVABLE, signature: { inputs: '[]' } });
  await recordCompiled(database, old, COMPILED);
  expect(await servableVersion(database, old)).toMatchObject({ status: 'SERVABLE', engine: 'ONNX', jobId: 'job-1' });

  await using lease = await VersionLease.toCheck(database, anew, null);
  expect(lease).not.toBeNull();
  await recordCheck(database, old, 'job-1', SERVABLE);
  await recordCompiled(database, old, COMPILED);
  expect(await servableVersions(database, [old, other, anew])).toMatchObject([
    null,
    null,
    { status: 'CHECKING', jobId: null, engine: 'PYTHON', compileStatus: 'PENDING', loadSeconds: null },
  ]);
});

it('of a version that could not be tried nothing is known, but what was known is kept', async () => {
  const { client: database } = test;
  const key = { name: 'untried', version: '1', createdAt: new Date(1_000) };
  await using lease = await VersionLease.toCheck(database, key, null);
  await forgetCheck(database, key, 'somebody else');
  expect(await servableVersion(database, key)).toMatchObject({ status: 'CHECKING' });
  await forgetCheck(database, key, lease?.holder ?? '');
  expect(await servableVersion(database, key)).toBeNull();
  await recordCheck(database, key, null, SERVABLE);
  await forgetCheck(database, key, lease?.holder ?? '');
  expect(await servableVersion(database, key)).toMatchObject({ status: 'SERVABLE' });
});

it('a version is tried by one at a time, by the next as soon as that one is done or gone, and never again once it is known', async () => {
  const { client: database } = test;
  const key = { name: 'held', version: '1', createdAt: new Date(1_000) };
  const take = () => VersionLease.toCheck(database, key, null);
  const taken = await Promise.all([take(), take(), take()]);
  const [first, ...others] = taken.filter((lease) => lease !== null);
  expect(others).toEqual([]);
  expect(await take()).toBeNull();
  await first?.[Symbol.asyncDispose]();
  const second = await take();
  expect(second).not.toBeNull();
  // As if whoever held it had not renewed it for some seconds.
  await database.servableVersion.updateMany({ where: { name: 'held' }, data: { leaseUntil: new Date(0) } });
  await using third = await take();
  expect(third).not.toBeNull();
  // Whoever lost it takes nothing away from its new holder.
  await second?.[Symbol.asyncDispose]();
  expect(await take()).toBeNull();
  await recordCheck(database, key, null, SERVABLE);
  expect(await take()).toBeNull();
});

it('a version is compiled by one at a time, and later when it could not be', async () => {
  const { client: database } = test;
  await database.servableVersion.updateMany({ data: { compileStatus: 'REFUSED' } });
  const key = { name: 'to-compile', version: '1', createdAt: new Date(1_000) };
  await recordCheck(database, key, null, SERVABLE);
  const first = await VersionLease.toCompile(database);
  expect(first?.key).toEqual(key);
  expect(await VersionLease.toCompile(database)).toBeNull();
  await first?.lease[Symbol.asyncDispose]();
  const second = await VersionLease.toCompile(database);
  expect(second?.key).toEqual(key);
  await second?.lease.keepFor(60);
  await second?.lease[Symbol.asyncDispose]();
  expect(await VersionLease.toCompile(database)).toBeNull();
});

it('every platform hears which model has a version that was tried', async () => {
  const { promise: heard, resolve } = Promise.withResolvers<string>();
  await using listener = await Listener.start({ url: test.url });
  await listener.subscribe(CHECKED_CHANNEL, resolve);
  await recordCheck(test.client, { name: 'heard', version: '1', createdAt: new Date(1_000) }, null, SERVABLE);
  expect(await heard).toBe('heard');
});

it('a refused version keeps why, shortened to what its columns take, and is never compiled', async () => {
  const { client: database } = test;
  const key = { name: 'refused', version: '1', createdAt: new Date(1_000) };
  await recordCheck(database, key, null, { refusal: 'no\0 file', traceback: `${'x'.repeat(30_000)}\nthe end` });
  await recordCompiled(database, key, COMPILED);
  const record = await servableVersion(database, key);
  expect(record).toMatchObject({ status: 'REFUSED', refusal: 'no file', compileStatus: 'PENDING', compiledKey: null });
  expect(record?.traceback).toHaveLength(20_000);
  expect(record?.traceback).toMatch(/the end$/);
});

it('a version runs compiled, or in Python for a reason that it bears', async () => {
  const { client: database } = test;
  const key = { name: 'pipeline', version: '3', createdAt: new Date(1_000) };
  await recordCheck(database, key, null, SERVABLE);
  expect(await servableVersion(database, key)).toMatchObject({ peakMemoryBytes: BigInt(2 ** 33 + 1), p50Ms: 1.5 });
  await recordCompiled(database, key, { status: 'REFUSED', refusal: 'row 7 differs' });
  expect(await servableVersion(database, key)).toMatchObject({ engine: 'PYTHON', compileRefusal: 'row 7 differs' });
  await recordCompiled(database, key, COMPILED);
  expect(await servableVersion(database, key)).toMatchObject({
    engine: 'ONNX',
    compileRefusal: null,
    proof: { rows: 1000 },
  });
});
