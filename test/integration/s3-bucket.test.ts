import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { S3Settings } from '../../src/config-s3.ts';
import { S3Bucket } from '../../src/storage/s3.ts';
import { quietPort } from '../support/quiet-port.ts';
import { type S3ServerForTests, startMoto } from '../support/s3-servers.ts';

let server: S3ServerForTests;
let kept: NodeJS.ProcessEnv;

beforeAll(async () => {
  server = await startMoto();
  await server.createBucket('models');
});
afterAll(() => server?.[Symbol.asyncDispose]());
// The SDK looks for credentials in the environment of the process.
beforeEach(() => {
  kept = { ...process.env };
  Object.assign(process.env, server.variables('models'));
});
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in kept)) delete process.env[name];
  Object.assign(process.env, kept);
});

function settings(changes: Partial<S3Settings> = {}): S3Settings {
  const { url: endpoint } = server;
  return { bucket: 'models', prefix: '', region: 'eu-north-1', endpoint, isPathStyle: true, ...changes };
}

function problemOf(changes: Partial<S3Settings> = {}): Promise<unknown> {
  const bucket = new S3Bucket(settings(changes));
  return bucket
    .check(AbortSignal.timeout(20_000))
    .catch((error: unknown) => error)
    .finally(() => bucket[Symbol.dispose]());
}

test('a text lies under the prefix, byte for byte', async () => {
  using bucket = new S3Bucket(settings({ prefix: 'team/one' }));
  await bucket.put('scripts/1/über mich.py', 'print("ä")\n');
  expect(bucket.address('scripts/1/über mich.py')).toBe('s3://models/team/one/scripts/1/über mich.py');
  expect(await server.text('models', 'team/one/scripts/1/über mich.py')).toBe('print("ä")\n');
});

test('a bucket that is there and can be used has no problem', async () => {
  expect(await problemOf()).toBeUndefined();
});

test('each problem is told from the others, and no message holds what is secret', async () => {
  const { secretAccessKey } = server.keys;
  expect(await problemOf({ bucket: 'nowhere' })).toMatchObject({ kind: 'missing', code: 'UPSTREAM' });
  const away = await problemOf({ endpoint: `http://127.0.0.1:${await quietPort()}` });
  expect(away).toMatchObject({ kind: 'away', code: 'UNAVAILABLE', message: expect.stringContaining('ECONNREFUSED') });
  process.env['AWS_SECRET_ACCESS_KEY'] = `${secretAccessKey}x`;
  const refused = await problemOf();
  expect(refused).toMatchObject({ kind: 'refused', message: expect.stringContaining('SignatureDoesNotMatch') });
  expect(JSON.stringify(refused) + String(refused)).not.toContain(secretAccessKey);
  process.env['AWS_ACCESS_KEY_ID'] = 'AKIANOBODY';
  expect(await problemOf()).toMatchObject({ message: expect.stringContaining('InvalidAccessKeyId') });
  delete process.env['AWS_ACCESS_KEY_ID'];
  expect(await problemOf()).toMatchObject({ kind: 'no-credentials', message: 'AWS S3 credentials not configured' });
  process.env['AWS_ROLE_ARN'] = 'arn:aws:iam::123456789012:role/asgard';
  process.env['AWS_WEB_IDENTITY_TOKEN_FILE'] = '/nonexistent/token';
  expect(await problemOf()).toMatchObject({ kind: 'refused', message: expect.stringContaining('ENOENT') });
});

test("a machine's service for credentials that never answers is not waited for", async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  try {
    const { port } = silent.address() as AddressInfo; // a server that listens on TCP has one
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_EC2_METADATA_DISABLED'])
      delete process.env[name];
    process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = `http://127.0.0.1:${port}`;
    expect(await problemOf()).toMatchObject({ kind: 'no-credentials' });
  } finally {
    silent.close();
  }
});

test("credentials with the guide's own policy, which may not list, are told what they lack", async () => {
  await using limited = await startMoto(['s3:CreateBucket', 's3:GetObject', 's3:PutObject', 's3:DeleteObject']);
  Object.assign(process.env, limited.variables('models'));
  await limited.createBucket('models');
  expect(await problemOf({ endpoint: limited.url })).toMatchObject({
    kind: 'refused',
    message: expect.stringContaining('s3:ListBucket is missing'),
  });
});

test('what is aborted ends with its reason', async () => {
  using bucket = new S3Bucket(settings());
  const stop = new AbortController();
  stop.abort(new Error('enough'));
  await expect(bucket.put('scripts/1/a.py', 'x', stop.signal)).rejects.toThrow('enough');
});
