import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CUSTOMER_METRICS, writeTable } from '../support/feature-tables.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { type GraphqlForTests, startGraphql } from '../support/graphql-for-tests.ts';

/** The guide's request, as written. */
const GUIDE = {
  name: 'customer_churn_features',
  entities: ['customer_id'],
  features: [
    { name: 'total_purchases', dtype: 'int64' },
    { name: 'avg_purchase_value', dtype: 'float64' },
    { name: 'days_since_last_purchase', dtype: 'int32' },
  ],
  source: { table_name: 'customer_metrics', catalog: 'iceberg', schema: 'gold' },
  ttl_days: 365,
};
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/;

let features: FeaturesForTests;
let api: GraphqlForTests;

beforeAll(async () => {
  features = await FeaturesForTests.start();
  const database = await features.databases.create();
  api = await startGraphql(undefined, database.url, features.bridge);
  await writeTable(features, 'gold.customer_metrics', CUSTOMER_METRICS.types, CUSTOMER_METRICS.rows);
  const types = { id: 'string', happened: 'timestamp', written: 'timestamp', cents: 'long', price: 'decimal(9, 2)' };
  const more = { share: 'double', is_new: 'boolean', born: 'date', small: 'int' };
  await writeTable(features, 'gold.orders', { ...types, ...more }, [
    ['a', '2025-01-01T00:00:00', '2025-01-02T00:00:00', -3_000_000_000, '1.25', 0.5, 'true', '2001-02-03', 1],
    ['a', '2025-01-01T00:00:00', '2025-01-03T00:00:00', 9_007_199_254_740_993n.toString(), null, 0.5, 'true', null, 2],
  ]);
  await writeTable(features, 'silver.clicks', { customer_id: 'string', at: 'timestamptz', n: 'int' }, []);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await features?.[Symbol.asyncDispose]();
});

async function call(method: string, path: string, body?: object) {
  const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(`${api.url}${path}`, { method, ...(body && json) });
  return { status: answer.status, body: await answer.json() };
}

const create = (changes: object = {}) => call('POST', '/feast/features', { ...GUIDE, ...changes });

/** What PostgreSQL holds of the registry, and its online tables. */
async function stored(): Promise<unknown[]> {
  const tables = ['feature_views', 'entities', 'data_sources', 'feature_view_version_history', 'feature_services'];
  const texts = tables.map((table) => `SELECT md5(t::text) AS x FROM feast_registry.${table} t`);
  const online = `SELECT tablename::text FROM pg_tables WHERE schemaname = 'feast_online'`;
  return (await features.database.pool.query(`${[...texts, online].join(' UNION ALL ')} ORDER BY 1`)).rows;
}

async function onlineTables(prefix = ''): Promise<string[]> {
  const { rows } = await features.database.pool.query<{ tablename: string }>(
    `SELECT tablename FROM pg_tables WHERE schemaname = 'feast_online' AND starts_with(tablename, $1) ORDER BY 1`,
    [`asgard_${prefix}`],
  );
  return rows.map(({ tablename }) => tablename);
}

describe('the guide’s feature view', () => {
  test('is created, and asked for again is told to be so already', async () => {
    const created = await create();
    expect(created).toEqual({
      status: 201,
      body: {
        name: 'customer_churn_features',
        entities: ['customer_id'],
        features: ['total_purchases', 'avg_purchase_value', 'days_since_last_purchase'],
        source_table: 'iceberg.gold.customer_metrics',
        online_enabled: false,
        created_at: expect.stringMatching(TIME),
        status: 'created',
        message: 'the feature view "customer_churn_features" was created',
      },
    });
    const before = await stored();
    const again = await create({ features: GUIDE.features.toReversed() });
    expect(again.body).toMatchObject({
      ...created.body,
      status: 'unchanged',
      message: expect.stringContaining('is so already'),
    });
    expect(await stored()).toEqual(before);
  });

  test('is listed, told of, and counted', async () => {
    const { body } = await call('GET', '/feast/features/customer_churn_features');
    expect(body).toMatchObject({
      fields: GUIDE.features.map((feature) => ({ ...feature, description: '', tags: {} })),
      timestamp_field: 'event_timestamp',
      created_timestamp_column: null,
      ttl_seconds: 365 * 86_400,
      version: 0,
    });
    expect((await call('GET', '/feast/features')).body).toEqual([body]);
    expect((await call('GET', '/feast/features?after=customer_churn_features')).body).toEqual([]);
    expect((await call('GET', '/feast/status')).body).toEqual({
      registry_type: 'sql',
      online_store_type: 'postgres',
      offline_store_type: 'iceberg',
      num_feature_views: 1,
      num_entities: 1,
      num_feature_services: 0,
      feature_views: ['customer_churn_features'],
      entities: ['customer_id'],
    });
  });

  test('is changed by what it leaves out and adds, which a dry run tells before', async () => {
    const before = await stored();
    const features = [...GUIDE.features.slice(0, 2), { name: 'days_since_last_purchase', dtype: 'int64' }];
    const wanted = { features, ttl_days: undefined, ttl_seconds: 60, tags: { team: 'data' }, online: true };
    const { status, body } = await create({ ...wanted, dryRun: true });
    expect(status).toBe(200);
    const changes = [
      { kind: 'changed', path: ['features', 'days_since_last_purchase', 'dtype'], before: 'int32', after: 'int64' },
      { kind: 'changed', path: ['ttlSeconds'], before: 31_536_000, after: 60 },
      { kind: 'changed', path: ['online'], before: false, after: true },
      { kind: 'added', path: ['tags', 'team'], before: null, after: 'data' },
    ];
    expect(body).toMatchObject({ action: 'changed', changes, source_table: 'iceberg.gold.customer_metrics' });
    expect(body.snapshot_id).toMatch(/^\d{10,}$/);
    expect(body.columns).toContainEqual({ name: 'avg_purchase_value', type: 'double', required: false });
    expect(body).toMatchObject({ sampled_rows: 5, repeated_keys: 0, null_rates: { avg_purchase_value: 0.2 } });
    expect(body.rows[2]).toEqual({
      customer_id: 3,
      event_timestamp: '2025-11-03T00:00:00Z',
      total_purchases: 30,
      avg_purchase_value: null,
      days_since_last_purchase: 21,
    });
    expect(await stored()).toEqual(before);
    expect((await create(wanted)).body).toMatchObject({ status: 'changed', online_enabled: true });
    expect((await call('GET', '/feast/features/customer_churn_features')).body).toMatchObject({
      version: 1,
      ttl_seconds: 60,
      tags: { team: 'data' },
    });
    expect(await onlineTables('customer_churn')).toEqual(['asgard_customer_churn_features']);
  });
});

const column = (name: string, dtype: string) => ({ name, dtype });
const orders = (changes: object = {}) => ({
  name: 'orders',
  entities: ['id'],
  features: [column('small', 'int32')],
  source: { table_name: 'orders', timestamp_field: 'happened', ...changes },
});

test.each<[what: string, changes: object, expected: [loc: (string | number)[], message: RegExp][]]>([
  [
    'table',
    { source: { table_name: 'customer_metric' } },
    [[['source', 'table_name'], /did you mean "customer_metrics"/]],
  ],
  [
    'table of another schema',
    { source: { table_name: 'clicks' } },
    [[['source', 'table_name'], /the schema "silver" has/]],
  ],
  ['schema', { source: { ...GUIDE.source, schema: 'gould' } }, [[['source', 'schema'], /did you mean "gold"/]]],
  ['catalog', { source: { ...GUIDE.source, catalog: 'ice' } }, [[['source', 'catalog'], /did you mean "iceberg"/]]],
  ['time to live', { ttl_seconds: 5 }, [[['ttl_seconds'], /give one of them/]]],
  [
    'columns and types, all at once',
    {
      entities: ['customer', 'customer_id', 'customer_id', 'avg_purchase_value'],
      features: [
        column('total_purchase', 'int64'),
        column('avg_purchase_value', 'int64'),
        column('customer_id', 'int64'),
        column('total_purchases', 'array_int64'),
        column('total_purchases', 'int64'),
      ],
    },
    [
      [['entities', 2], /"customer_id" is given twice/],
      [['features', 4, 'name'], /"total_purchases" is given twice/],
      [['features', 1, 'name'], /"avg_purchase_value" is an entity/],
      [['features', 2, 'name'], /"customer_id" is an entity/],
      [['entities', 0], /no column "customer"; did you mean "customer_id"/],
      [['entities', 3], /is double, and an entity is int, long or string; .* has customer_id, total_purchases/],
      [['features', 0, 'name'], /no column "total_purchase"; did you mean "total_purchases"/],
      [['features', 1, 'dtype'], /is double, which int64 does not hold: declare float64/],
      [['features', 3, 'dtype'], /is long, which array_int64 does not hold: declare int64/],
    ],
  ],
  [
    'times',
    { source: { ...GUIDE.source, timestamp_field: 'event_time', created_timestamp_column: 'customer_id' } },
    [
      [['source', 'timestamp_field'], /did you mean "event_timestamp"/],
      [['source', 'created_timestamp_column'], /is long, and must be timestamp or timestamptz; .* has event_timestamp/],
    ],
  ],
  [
    'a time that can be two columns',
    { ...orders({ timestamp_field: undefined }) },
    [[['source', 'timestamp_field'], /several columns of iceberg.gold.orders can be it: happened, written/]],
  ],
  [
    'values beyond a narrower type',
    { ...orders(), features: [column('cents', 'int32'), column('cents2', 'int32'), column('cents', 'float64')] },
    [
      [['features', 2, 'name'], /given twice/],
      [['features', 0, 'dtype'], /is long with values up to 9007199254740993, and int32 holds only up to 2147483647/],
      [['features', 1, 'name'], /no column "cents2"/],
      [['features', 2, 'dtype'], /and float64 holds only up to 9007199254740992 exactly: declare int64/],
    ],
  ],
  [
    'types that nothing holds or only one',
    { ...orders(), features: [column('born', 'unix_timestamp'), column('price', 'string'), column('is_new', 'int32')] },
    [
      [['features', 0, 'dtype'], /is date, .* no type of feature holds that/],
      [['features', 1, 'dtype'], /is decimal\(9, 2\), .* declare float64/],
      [['features', 2, 'dtype'], /is boolean, .* declare bool/],
    ],
  ],
  [
    'an entity of another type',
    { name: 'clicks', features: [column('n', 'int64')], source: { table_name: 'clicks', schema: 'silver' } },
    [[['entities', 0], /is int64 in customer_churn_features, and the column .* of iceberg.silver.clicks is string/]],
  ],
  [
    'a name that another view has but for its case, and a table',
    { name: 'Customer_Churn_Features', source: { table_name: 'nothing_like_it' } },
    [
      [['source', 'table_name'], /there is customer_metrics, orders/],
      [['name'], /there is a feature view "customer_churn_features"/],
    ],
  ],
  ['a name', { name: '1st' }, [[['name'], /must begin with a letter/]]],
  ['a path for a name', { name: 'services' }, [[['name'], /must not be one of service, services/]]],
  ['a type', { features: [column('a', 'int')] }, [[['features', 0, 'dtype'], /must be one of int32, .*; it is "int"/]]],
  ['no features', { features: [] }, [[['features'], /at least 1 item/]]],
])('a mistake in %s is named, and nothing is written', async (_what, changes, expected) => {
  const before = await stored();
  const { status, body } = await create(changes);
  const found = (body.detail as { loc: unknown[]; msg: string }[]).map(({ loc, msg }) => [loc, msg]);
  expect(found).toEqual(expected.map(([loc, message]) => [['body', ...loc], expect.stringMatching(message)]));
  expect(status).toBe(422);
  expect(await stored()).toEqual(before);
});

test('a narrower type is taken when the values fit, and other columns as what they are', async () => {
  const fits = ['float64', 'float32'].map((dtype) => column('share', dtype));
  for (const feature of fits) expect((await create({ ...orders(), features: [feature] })).status).toBe(201);
  const source = { created_timestamp_column: 'written' };
  const all = [
    column('price', 'float64'),
    column('is_new', 'bool'),
    column('small', 'int64'),
    column('cents', 'int64'),
  ];
  expect((await create({ ...orders(source), features: all })).body).toMatchObject({ status: 'changed' });
  const { body } = await create({ ...orders(source), features: all, dry_run: true });
  expect(body).toMatchObject({ action: 'unchanged', changes: [], repeated_keys: 1, sampled_rows: 2 });
  expect(body.rows[1]).toMatchObject({ cents: '9007199254740993', price: null });
  // Rows that come later do not undo what was declared; those that are there when it is declared count.
  await writeTable(features, 'gold.grows', { id: 'long', at: 'timestamp', n: 'long' }, [[1, '2025-01-01T00:00:00', 7]]);
  const grows = { name: 'grows', entities: ['id'], source: { table_name: 'grows' } };
  expect((await create({ ...grows, entities: ['id'], features: [column('n', 'int32')] })).status).toBe(422);
  expect((await call('DELETE', '/feast/features/orders')).status).toBe(200);
  expect((await create({ ...grows, features: [column('n', 'int32')] })).status).toBe(201);
  const types = { id: 'long', at: 'timestamp', n: 'long' };
  await writeTable(features, 'gold.grows', types, [[2, '2025-01-01T00:00:00', 2 ** 40]], 'append');
  expect((await create({ ...grows, features: [column('n', 'int32')] })).status).toBe(422);
});
