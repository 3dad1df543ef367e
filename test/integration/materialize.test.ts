import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { OnlineStore } from '../../src/feast/online-store.ts';
import { OnlineFeatureService } from '../../src/features/online.ts';
import { onlineRequest } from '../../src/features/online-request.ts';
import { type Columns, FeastSdk, type Row } from '../support/feast-sdk.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { processesOf } from '../support/processes.ts';
import { uniqueName } from '../support/unique-name.ts';

let features: FeaturesForTests;
let sdk: FeastSdk;
let online: OnlineFeatureService;

beforeAll(async () => {
  features = await FeaturesForTests.start();
  sdk = await FeastSdk.start(features.settings, features.folder);
  online = new OnlineFeatureService(features.bridge, new OnlineStore(features.database.pool));
});
afterAll(async () => {
  await sdk[Symbol.asyncDispose]();
  await features[Symbol.asyncDispose]();
  expect(processesOf(features.folder)).toEqual([]);
});

const COLUMNS: Columns = {
  customer_id: 'long',
  event_timestamp: 'time',
  total_purchases: 'long',
  avg_purchase_value: 'double',
  name: 'string',
  scores: 'longs',
};
const DTYPES = { total_purchases: 'int64', avg_purchase_value: 'float64', name: 'string', scores: 'array_int64' };
const HOUR_MS = 3_600_000;

/** A row of some hours ago. */
function row(customer: number | null, hoursAgo: number, total: number | null, changes: Row = {}): Row {
  return {
    customer_id: customer,
    event_timestamp: new Date(Date.now() - hoursAgo * HOUR_MS).toISOString(),
    total_purchases: total,
    avg_purchase_value: total === null ? null : total + 0.5,
    name: total === null ? null : `kůň ${total}`,
    scores: total === null ? null : [total, 2],
    ...changes,
  };
}

/** A table with these rows, and an online view of it. */
async function makeView(rows: readonly Row[], changes: object = {}): Promise<string> {
  const name = uniqueName('view').replaceAll('-', '_');
  await sdk.create(`gold.${name}`, COLUMNS, rows);
  const source = {
    catalog: 'iceberg',
    schema: 'gold',
    tableName: name,
    timestampField: 'event_timestamp',
    createdTimestampColumn: null,
  };
  const described = { description: '', tags: {} };
  const list = Object.entries(DTYPES).map(([name, dtype]) => ({ name, dtype, ...described }));
  const definition = {
    name,
    entities: ['customer_id'],
    features: list,
    source,
    ttlSeconds: 0,
    online: true,
    owner: '',
  };
  await features.bridge.request('views.apply', { ...definition, ...described, ...changes }, z.unknown());
  online.registryChanged();
  return name;
}

const outcome = z.looseObject({
  mode: z.string(),
  values_written: z.int(),
  entities_deleted: z.int(),
  rows_read: z.int(),
  rows_skipped: z.int(),
  entities: z.int(),
  snapshot_id: z.string().nullable(),
});
const materialize = (view: string, bridge = features.bridge) => bridge.request('online.materialize', { view }, outcome);

/** `total_purchases` of some customers. */
async function totals(view: string, customers: readonly number[]): Promise<unknown[]> {
  const { columns } = await read(view, customers, ['total_purchases']);
  return columns[0]?.cells.map(({ value }) => value) ?? [];
}

function read(view: string, customers: readonly unknown[], names = Object.keys(DTYPES)) {
  const entities = { customer_id: [...customers] };
  return online.read(onlineRequest.parse({ features: names.map((name) => `${view}:${name}`), entities }));
}

test('what is materialized reads as Feast reads it, row for row what Feast writes', async () => {
  const newest = [row(1, 2, 11), row(-2, 3, 2 ** 40), row(3, 1, null)];
  const ofNobody = [row(null, 1, 9), row(4, 1, 5, { event_timestamp: null })];
  const view = await makeView([row(1, 5, 10), ...newest, ...ofNobody]);
  const expected = {
    mode: 'FULL',
    entities: 3,
    rows_read: 6,
    rows_skipped: 2,
    values_written: 12,
    entities_deleted: 0,
  };
  expect(await materialize(view)).toMatchObject(expected);

  const { columns } = await read(view, [1, -2, 3, 99]);
  const statuses = Object.fromEntries(columns.map(({ name, cells }) => [name, cells.map(({ status }) => status)]));
  const [first] = columns;
  expect(statuses).toEqual(
    Object.fromEntries(Object.keys(DTYPES).map((name) => [name, ['PRESENT', 'PRESENT', 'PRESENT', 'MISSING']])),
  );
  expect(first?.cells[0]?.ageSeconds).toBeCloseTo(7200, -2);
  const theirs = await sdk.online(
    Object.keys(DTYPES).map((name) => `${view}:${name}`),
    { customer_id: [1, -2, 3, 99] },
  );
  for (const { name, cells } of columns) {
    expect(cells.map(({ value }) => value)).toEqual(theirs[name]);
    expect(cells.map(({ eventAtMs }) => Math.floor((eventAtMs ?? 0) / 1000))).toEqual(theirs[`${name}__ts`]);
  }

  const stored = async () => {
    const { rows } = await features.database.pool.query(
      `SELECT * FROM feast_online."asgard_${view}" ORDER BY entity_key, feature_name`,
    );
    return rows;
  };
  const ours = await stored();
  await features.database.pool.query(`TRUNCATE feast_online."asgard_${view}"`);
  await sdk.write(view, COLUMNS, newest);
  expect(await stored()).toEqual(ours);
});

test('appended rows are read alone; a late one does not go before a newer one', async () => {
  const view = await makeView([row(1, 5, 10), row(2, 5, 20)]);
  await materialize(view);
  expect(await materialize(view)).toMatchObject({ mode: 'UNCHANGED', rows_read: 0, values_written: 0, entities: 2 });
  await sdk.append(`gold.${view}`, COLUMNS, [row(1, 9, 1), row(2, 1, 21)]);
  await sdk.append(`gold.${view}`, COLUMNS, [row(3, 100, 30)]);
  expect(await materialize(view)).toMatchObject({ mode: 'INCREMENTAL', rows_read: 3, values_written: 8, entities: 3 });
  expect(await totals(view, [1, 2, 3])).toEqual([10, 21, 30]);
});

test('values of rows that were deleted or overwritten are gone after the next materialization', async () => {
  const view = await makeView([row(1, 5, 10), row(2, 5, 20), row(3, 5, 30), row(3, 1, 31)]);
  await materialize(view);
  await sdk.delete(`gold.${view}`, 'customer_id == 1');
  await sdk.delete(`gold.${view}`, 'total_purchases == 31');
  await sdk.overwrite(`gold.${view}`, COLUMNS, 'customer_id == 2', [row(4, 5, 40)]);
  expect(await materialize(view)).toMatchObject({ mode: 'FULL', entities_deleted: 2, entities: 2 });
  expect(await totals(view, [1, 2, 3, 4])).toEqual([null, null, 30, 40]);
});

test('a value that is older than the ttl is marked, and not given', async () => {
  const view = await makeView([row(1, 1, 10), row(2, 3, 20)], { ttlSeconds: 2 * 3600 });
  await materialize(view);
  const { columns } = await read(view, [1, 2, 3], ['total_purchases']);
  expect(columns[0]?.cells).toMatchObject([
    { status: 'PRESENT', value: 10 },
    { status: 'EXPIRED', value: null, ageSeconds: expect.closeTo(3 * 3600, -2) },
    { status: 'MISSING', value: null, ageSeconds: null, eventAtMs: null },
  ]);
});

test('a row that is dated in the future waits for its time', async () => {
  const soon = new Date(Date.now() + 1500);
  const view = await makeView([row(1, 1, 10), row(1, 0, 11, { event_timestamp: soon.toISOString() })]);
  await materialize(view);
  expect(await totals(view, [1])).toEqual([10]);
  await expect
    .poll(async () => [(await materialize(view)).mode, await totals(view, [1])], { timeout: 10_000 })
    .toEqual(['FULL', [11]]);
});
