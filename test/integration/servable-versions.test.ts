import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  beginCheck,
  forgetCheck,
  recordCheck,
  recordCompiled,
  servableVersion,
  servableVersions,
} from '../../src/models/servable-versions.ts';
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

  await beginCheck(database, anew, null);
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
  await beginCheck(database, key, null);
  await forgetCheck(database, key);
  expect(await servableVersion(database, key)).toBeNull();
  await recordCheck(database, key, null, SERVABLE);
  await forgetCheck(database, key);
  expect(await servableVersion(database, key)).toMatchObject({ status: 'SERVABLE' });
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
