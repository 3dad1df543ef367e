import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROJECT_ROOT } from '../../src/config.ts';
import { DataFolder, type TestPlatform } from '../support/data-folder.ts';
import { eventsOf } from '../support/job-scripts.ts';
import { poll } from '../support/poll.ts';
import { addAccount, type S3ServerForTests, startVersitygw } from '../support/s3-servers.ts';

/*
 * Features in an S3 warehouse, on a server with accounts: scripts read it with a key of their own.
 */
const LIMIT_MS = 240_000;
const READER = { ICEBERG_READ_ACCESS_KEY_ID: 'reader', ICEBERG_READ_SECRET_ACCESS_KEY: 'a-secret-of-scripts' };
const SCRIPT = await readFile(join(import.meta.dirname, '../fixtures/features_in_s3.py'), 'utf8');

// It only prints where the server is, unless it was never built here.
const program = execFileSync(process.execPath, [join(PROJECT_ROOT, 'scripts', 'build-s3-server.mjs')], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
}).trim();

let server: S3ServerForTests;
let folder: DataFolder;
beforeAll(async () => {
  server = await startVersitygw(program);
  await server.createBucket('lake');
  await addAccount(program, server, READER.ICEBERG_READ_ACCESS_KEY_ID, READER.ICEBERG_READ_SECRET_ACCESS_KEY);
  await server.letRead('lake', READER.ICEBERG_READ_ACCESS_KEY_ID);
  folder = await DataFolder.make();
});
afterAll(async () => {
  await folder?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

/** A platform whose tables alone are in S3. */
function start(readKey: Partial<typeof READER>): Promise<TestPlatform> {
  return folder.start({
    ...server.variables('lake'),
    AWS_S3_BUCKET: '',
    ICEBERG_WAREHOUSE: 's3://lake/warehouse',
    ...readKey,
  });
}

async function send({ url }: TestPlatform, method: string, path: string, type: string, body: string) {
  const answer = await fetch(`${url}${path}`, { method, headers: { 'content-type': type }, body });
  expect(answer.status, await answer.clone().text()).toBe(201);
}

/** Runs the script. `printed`: its lines. */
async function run({ client }: TestPlatform) {
  const secret = [...server.keys.secretAccessKey].toReversed().join('');
  const { id } = await client.submit({
    scriptName: 'script.py',
    script: SCRIPT,
    experimentName: 'in-s3',
    modelName: 'none',
    environmentVariables: [{ name: 'NEEDLE', value: secret }],
  });
  const events = await eventsOf(client, id);
  const log = await client.logText(id);
  const printed = events.flatMap((event) =>
    event.__typename === 'LogLine' && event.stream === 'STDOUT' ? [JSON.parse(event.text)] : [],
  );
  return { id, end: events.at(-1), log, printed };
}

describe.sequential('features in an S3 warehouse', { timeout: LIMIT_MS }, () => {
  test('are read by a script with the key for reading, by which nothing can be written, and the platform’s is not to be found', async () => {
    await using platform = await start(READER);
    await platform.ready();
    const rows = 'customer_id,event_timestamp,spent\n1,2025-10-01T00:00:00Z,1.5\n2,2025-10-01T00:00:00Z,2.5\n';
    await send(platform, 'PUT', '/iceberg/tables/gold/customers', 'text/csv', rows);
    const view = {
      name: 'customers',
      entities: ['customer_id'],
      features: [{ name: 'spent', dtype: 'float64' }],
      source: { table_name: 'customers', catalog: 'iceberg', schema: 'gold' },
    };
    await send(platform, 'POST', '/feast/features', 'application/json', JSON.stringify(view));
    const before = await server.list('lake');
    expect([...before.keys()]).toContainEqual(expect.stringMatching(/^warehouse\/gold\/customers\/data\/.*\.parquet$/));

    const { id, end, log, printed } = await run(platform);
    expect(end, log).toMatchObject({ status: 'COMPLETED' });
    expect(printed.slice(0, 3)).toEqual([
      [1.5, 2.5, -1],
      { 's3.access-key-id': 'reader', 's3.secret-access-key': READER.ICEBERG_READ_SECRET_ACCESS_KEY },
      {
        write: 'refused',
        delete: 'refused',
        append: 'refused',
        bucket: 'refused',
        'found by itself': 'refused',
        'of nobody': 'refused',
      },
    ]);
    // Where scripts are not set apart they can do what the platform's account can.
    const { isolation } = await platform.client.status();
    const yaml = join(folder.path, 'jobs', id, '1', 'home', 'feature_store.yaml');
    if (isolation !== 'NONE') expect(printed.slice(3)).toEqual([{ [yaml]: false }]);
    expect(log).not.toContain('may not be able to read features');
    expect(await server.list('lake')).toEqual(before);
    // A look at the bucket has 3 s.
    await poll(
      () => platform.client.status(),
      ({ ready, troubles }) => ready && troubles.length === 0,
    );
  });

  test('are not to be read without such a key, which the status, the log and the script’s failure say', async () => {
    await using platform = await start({});
    await platform.ready();
    const why = 'scripts have no key for s3://lake/warehouse and read only what everybody may';
    await poll(
      () => platform.client.status(),
      ({ troubles: [trouble, ...others] }) => trouble?.includes(why) === true && others.length === 0,
    );
    const { end, log } = await run(platform);
    expect(end).toMatchObject({ status: 'FAILED' });
    expect(log).toContain(`The script may not be able to read features: ${why}`);
    expect(log).toContain('PermissionError: iceberg.gold.customers cannot be read without a key: set ICEBERG_READ_');

    const removed = async (path: string) => (await fetch(`${platform.url}${path}`, { method: 'DELETE' })).status;
    expect(await removed('/feast/features/customers')).toBe(200);
    expect(await removed('/iceberg/tables/gold/customers')).toBe(200);
    expect([...(await server.list('lake')).values()].filter((bytes) => bytes > 0)).toEqual([]);
  });
});
