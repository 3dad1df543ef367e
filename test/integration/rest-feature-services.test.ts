import { afterAll, beforeAll, expect, test } from 'vitest';
import { FeatureStoreHealth } from '../../src/feast/health.ts';
import { Warehouse } from '../../src/feast/warehouse.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { CUSTOMER_METRICS, writeTable } from '../support/feature-tables.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { type GraphqlForTests, startGraphql } from '../support/graphql-for-tests.ts';
import { poll } from '../support/poll.ts';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/;

let features: FeaturesForTests;
let health: FeatureStoreHealth;
let api: GraphqlForTests;
beforeAll(async () => {
  features = await FeaturesForTests.start();
  const { bridge, database, settings } = features;
  health = new FeatureStoreHealth({
    database,
    warehouse: new Warehouse({ folder: settings.warehouse }),
    bridge,
    standingTrouble: null,
    checkCatalog: undefined,
    logger: createLogger('silent', false),
    onTrouble: () => {},
  });
  const { url } = await features.databases.create();
  api = await startGraphql(undefined, url, bridge, settings.databaseUrl, health);
  await writeTable(features, 'gold.customer_metrics', CUSTOMER_METRICS.types, CUSTOMER_METRICS.rows);
});
afterAll(async () => {
  for (const each of [api, health, features]) await each?.[Symbol.asyncDispose]();
});

async function call(method: string, path: string, body?: object) {
  const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(`${api.url}/feast/features${path}`, { method, ...(body && json) });
  return { status: answer.status, body: await answer.json() };
}

const apply = (name: string, changes: object = {}) =>
  call('POST', '', {
    name,
    entities: ['customer_id'],
    features: [
      { name: 'total_purchases', dtype: 'int64' },
      { name: 'avg_purchase_value', dtype: 'float64' },
    ],
    source: { table_name: 'customer_metrics', catalog: 'iceberg', schema: 'gold' },
    ...changes,
  });

/**
 * The platform's status once it counts so many feature views of a store that answers: the first look of a busy machine may be late,
 * and what was seen up to a second ago is told again.
 */
const counted = (wanted: number) =>
  poll(
    async () => await (await fetch(`${api.url}/mlops/status`)).json(),
    ({ feature_views: count, feast_store_available: isAvailable }) => isAvailable === true && count === wanted,
  );

test('the platform’s status counts the feature views that there are', async () => {
  await counted(0);
  expect(await apply('one')).toMatchObject({ status: 201 });
  await counted(1);
  expect(await apply('one', { online: true })).toMatchObject({ status: 201 });
  expect(await apply('two')).toMatchObject({ status: 201 });
  await counted(2);
  expect(await call('DELETE', '/two')).toMatchObject({ status: 200 });
  await counted(1);
  expect(await call('DELETE', '/one')).toMatchObject({ status: 200 });
  await counted(0);
});

test('a feature service is made, told of, listed, changed and deleted by REST', async () => {
  await apply('purchases');
  await apply('values', { features: [{ name: 'avg_purchase_value', dtype: 'float64' }] });
  const service = { name: 'churn', features: ['purchases:total_purchases', 'values'], tags: { team: 'data' } };
  const made = await call('POST', '/service', service);
  const summary = {
    name: 'churn',
    features: ['purchases:total_purchases', 'values:avg_purchase_value'],
    feature_views: ['purchases', 'values'],
    created_at: expect.stringMatching(TIME),
  };
  const message = 'the feature service "churn" was created';
  expect(made).toEqual({ status: 201, body: { ...summary, status: 'created', message } });
  expect(await call('POST', '/service', service)).toMatchObject({ status: 201, body: { status: 'unchanged' } });

  const details = { ...summary, description: '', owner: '', tags: { team: 'data' }, updated_at: expect.any(String) };
  const told = await call('GET', '/services/churn');
  expect(told).toEqual({ status: 200, body: details });
  expect((await call('POST', '/service', { name: 'all', features: ['purchases'] })).status).toBe(201);
  const listed = (await call('GET', '/services')).body;
  expect(listed.map(({ name }: { name: string }) => name)).toEqual(['all', 'churn']);
  expect(listed[1]).toEqual(told.body);
  expect((await call('GET', '/services?after=all')).body).toEqual([told.body]);

  const less = { name: 'churn', features: ['values'], owner: 'ml' };
  expect(await call('POST', '/service', less)).toMatchObject({ status: 201, body: { status: 'changed' } });
  expect((await call('GET', '/services/churn')).body).toMatchObject({
    features: ['values:avg_purchase_value'],
    owner: 'ml',
    tags: {},
  });
  expect(await call('DELETE', '/values')).toMatchObject({ status: 409 });
  expect(await call('DELETE', '/services/churn')).toEqual({
    status: 200,
    body: { name: 'churn', status: 'deleted', message: 'the feature service "churn" was deleted' },
  });
  expect(await call('DELETE', '/values')).toMatchObject({ status: 200 });
  for (const method of ['GET', 'DELETE'])
    expect(await call(method, '/services/churn')).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining('there is no feature service "churn"') },
    });
});

test('a service of features that there are none of is refused at their places, and not made', async () => {
  await apply('purchases');
  const wrong = ['purchases', 'purchses', 'purchases:total'];
  const { status, body } = await call('POST', '/service', { name: 'wrong', features: wrong });
  const found = (body.detail as { loc: unknown[]; msg: string }[]).map(({ loc, msg }) => [loc, msg]);
  expect([status, found]).toEqual([
    422,
    [
      [['body', 'features', 1], expect.stringContaining('did you mean "purchases"')],
      [['body', 'features', 2], expect.stringContaining('did you mean "total_purchases"')],
    ],
  ]);
  expect((await call('GET', '/services/wrong')).status).toBe(404);
});
