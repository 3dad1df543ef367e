import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CUSTOMER_METRICS, writeTable } from '../support/feature-tables.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { poll } from '../support/poll.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

/*
 * What a request is answered while a part of the feature store is away, and that the same request works once it is back.
 */
let features: FeaturesForTests;
let proxy: TcpProxy;
let api: GraphqlForTests;
beforeAll(async () => {
  features = await FeaturesForTests.start();
  proxy = await startTcpProxy(features.settings.databaseUrl);
  const url = new URL(features.settings.databaseUrl);
  url.port = new URL(proxy.url).port;
  const bridge = features.otherBridge({ settings: { ...features.settings, databaseUrl: url.href } });
  const { url: own } = await features.databases.create();
  api = await startGraphql(undefined, own, bridge, features.settings.databaseUrl);
  await writeTable(features, 'gold.customer_metrics', CUSTOMER_METRICS.types, CUSTOMER_METRICS.rows);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await features?.[Symbol.asyncDispose]();
});

const VIEW = {
  name: 'metrics',
  entities: ['customer_id'],
  features: [{ name: 'total_purchases', dtype: 'int64' }],
  source: { table_name: 'customer_metrics', catalog: 'iceberg', schema: 'gold' },
  online: true,
};
const TABLE = '/iceberg/tables/gold/customer_metrics';

async function call(method: string, path: string, body?: object | string) {
  const isText = typeof body === 'string';
  const headers = { 'content-type': isText ? 'text/csv' : 'application/json' };
  const sent = body === undefined ? {} : { headers, body: isText ? body : JSON.stringify(body) };
  const answer = await fetch(`${api.url}${path}`, { method, ...sent });
  return { status: answer.status, body: await answer.json() };
}

const plan = () => call('POST', '/feast/features', { ...VIEW, dry_run: true });
const apply = () => call('POST', '/feast/features', VIEW);
const refused = (why: string) => ({ status: 503, body: { detail: expect.stringContaining(why) } });

/** Begins to materialize the view, and gives what it came to. */
async function materialized(): Promise<{ status: string; error: string | null }> {
  const { body } = await call('POST', '/feast/materialize', { feature_views: [VIEW.name] });
  const id = body.materializations[0].materialization_id;
  return await poll(
    async () => (await call('GET', `/feast/materializations/${id}`)).body,
    ({ status }) => status === 'completed' || status === 'failed',
  );
}

test('while the warehouse’s folder is gone, requests are told so and nothing is made in its place', async () => {
  const { warehouse } = features.settings;
  expect(await apply()).toMatchObject({ status: 201 });
  await rename(warehouse, `${warehouse}.gone`);
  const away = refused(`the feature store's warehouse cannot be used: `);
  expect(await call('GET', TABLE)).toMatchObject(away);
  expect(await plan()).toMatchObject(away);
  expect(await apply()).toMatchObject(away);
  expect(await call('DELETE', TABLE)).toMatchObject({ status: 503 });
  expect(await call('PUT', TABLE, 'customer_id\n1\n')).toMatchObject(away);
  expect(await call('POST', TABLE, 'customer_id\n1\n')).toMatchObject(away);
  const gone = refused(`its folder ${warehouse} is gone, and there are tables`);
  expect(await call('PUT', '/iceberg/tables/silver/first_of_it', 'id\n1\n')).toMatchObject(gone);
  const query = `{ icebergTable(schema: "gold", name: "customer_metrics") { rowCount } }`;
  expect((await post(api.url, query)).body.errors).toEqual([
    expect.objectContaining({ extensions: expect.objectContaining({ code: 'UNAVAILABLE' }) }),
  ]);
  expect(await materialized()).toMatchObject({ status: 'failed', error: expect.stringContaining('warehouse') });
  await expect(readdir(warehouse)).rejects.toThrow('ENOENT');

  // Neither is what has come in its place taken for it.
  await writeFile(warehouse, 'no folder');
  expect(await call('GET', TABLE)).toMatchObject(away);
  await rm(warehouse);

  await rename(`${warehouse}.gone`, warehouse);
  expect(await call('GET', TABLE)).toMatchObject({ status: 200, body: { row_count: 5 } });
  expect(await plan()).toMatchObject({ status: 200, body: { sampled_rows: 5 } });
  expect(await apply()).toMatchObject({ body: { status: 'unchanged' } });
  expect(await materialized()).toMatchObject({ status: 'completed' });
  expect(await call('PUT', '/iceberg/tables/silver/first_of_it', 'id\n1\n')).toMatchObject({ status: 201 });
});

test('a data file that cannot be read is told of by its name, and the request works once it is back', async () => {
  const folder = join(features.settings.warehouse, 'gold', 'customer_metrics', 'data');
  const [file = ''] = await readdir(folder);
  await rename(join(folder, file), join(folder, 'elsewhere'));
  expect(await plan()).toMatchObject(refused(file));
  await rename(join(folder, 'elsewhere'), join(folder, file));
  expect(await plan()).toMatchObject({ status: 200 });
});

test('while the database is away, requests are told so, and work once it is back', async () => {
  proxy.breakAfter(0);
  const away = refused(`the feature store's database does not answer: `);
  expect(await call('GET', TABLE)).toMatchObject(away);
  expect(await apply()).toMatchObject(away);
  expect(await call('GET', '/feast/features')).toMatchObject(away);
  proxy.release();
  expect(await call('GET', TABLE)).toMatchObject({ status: 200 });
  expect(await apply()).toMatchObject({ body: { status: 'unchanged' } });
  expect(await call('GET', '/feast/features')).toMatchObject({ status: 200, body: [{ name: VIEW.name }] });
});
