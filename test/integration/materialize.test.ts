import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { OnlineStore } from '../../src/feast/online-store.ts';
import { MaterializationSchedule } from '../../src/features/materialization-schedule.ts';
import { onlineRequest } from '../../src/features/online-request.ts';
import { OnlineViewCache } from '../../src/features/online-views.ts';
import { trainedFeatures } from '../../src/jobs/trained-features.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { type Columns, FeastSdk, type Row } from '../support/feast-sdk.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { COLUMNS, DTYPES, KIND_ROWS, KINDS, makeOnlineView, row } from '../support/online-view.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';
import { overSocket } from '../support/subscriptions.ts';
import { inTimeEnough } from '../support/time-enough.ts';
import { uniqueName } from '../support/unique-name.ts';

let features: FeaturesForTests;
let sdk: FeastSdk;
/** Two platforms on one database and one store, each with a bridge of its own. */
let here: GraphqlForTests;
let there: GraphqlForTests;

beforeAll(async () => {
  features = await FeaturesForTests.start();
  sdk = await FeastSdk.start(features.settings, features.folder);
  const { url } = await features.databases.create();
  here = await startGraphql(undefined, url, features.bridge, features.settings.databaseUrl);
  there = await startGraphql(undefined, url, features.otherBridge(), features.settings.databaseUrl);
});
afterAll(async () => {
  for (const each of [here, there, sdk, features]) await each?.[Symbol.asyncDispose]();
  expect(processesOf(features.folder)).toEqual([]);
});

const makeView = (rows: readonly Row[], changes: object = {}) => makeOnlineView(here.bridge, sdk, rows, changes);

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
  return here.services.onlineFeatures.read(
    onlineRequest.parse({ features: names.map((name) => `${view}:${name}`), entities }),
  );
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

test('more values than an answer may hold are refused, and fewer of them are read', async () => {
  const customers = [1, 2, 3];
  const view = await makeView(customers.map((customer) => row(customer, 1, 5)));
  await materialize(view);
  const text = 'x'.repeat(12 * 1024 ** 2);
  // A Value of Feast's with a text: the field's tag, the length in seven bits a byte, the text.
  const length = [0, 7, 14, 21].map((shift) => ((text.length >>> shift) & 0x7f) | (shift < 21 ? 0x80 : 0));
  const value = Buffer.concat([Buffer.from([0x12, ...length]), Buffer.from(text)]);
  const sql = `UPDATE feast_online."asgard_${view}" SET value = $1 WHERE feature_name = 'name'`;
  await features.database.pool.query(sql, [value]);
  const message = expect.stringMatching(
    /^the values of a feature view are 37 MiB, and at most 32 MiB are answered at once/,
  );
  await expect(read(view, customers, ['name'])).rejects.toMatchObject({ code: 'TOO_LARGE', message });
  const { columns } = await read(view, [3, 1], ['name']);
  expect(columns[0]?.cells.map((cell) => cell.value === text)).toEqual([true, true]);
  expect(await totals(view, customers)).toEqual([5, 5, 5]);
});

test('a value of every kind is answered as Feast’s server answers it, by REST and by GraphQL', async () => {
  const table = uniqueName('kinds').replaceAll('-', '_');
  const columns = Object.fromEntries(Object.entries(KINDS).map(([name, [column]]) => [name, column]));
  const all: Columns = { customer_id: 'long', event_timestamp: 'time', ...columns };
  const rows = [0, 1, 2].map((index) => ({
    ...row(index, 1, null),
    ...Object.fromEntries(Object.entries(KIND_ROWS).map(([name, cells]) => [name, cells[index]?.[0]])),
  }));
  await sdk.create(`gold.${table}`, all, rows);
  const types = Object.fromEntries(Object.entries(KINDS).map(([name, [, type]]) => [name, type]));
  await makeView([row(1, 1, 1)]); // makes the entity
  await sdk.apply('view', { view: table, table, features: types, entities: ['customer_id'] });
  expect(await materialize(table)).toMatchObject({ mode: 'FULL', entities: 3 });

  const names = Object.keys(KINDS).map((name) => `${table}:${name}`);
  const entities = { customer_id: [0, 1, 2] };
  const expected = Object.fromEntries(
    Object.entries(KIND_ROWS).map(([name, cells]) => [name, cells.map(([, read]) => read)]),
  );
  const { answer } = await rest(here, '/feast/online', { features: names, entities });
  const { metadata, results } = onlineAnswer.parse(answer);
  const { customer_id: _, ...ours } = Object.fromEntries(
    metadata.feature_names.map((name, index) => [name, results[index]?.values]),
  );
  expect(ours).toEqual(expected);
  // Feast's server shows its mark for "no time" within a list as it is.
  const moments = [[1762164000], ['-9223372036854775808'], null];
  expect(await sdk.online(names, entities)).toMatchObject({ ...expected, moments });
  const query = 'query ($input: OnlineFeaturesInput!) { onlineFeatures(input: $input) { features { name values } } }';
  const { body } = await post(here.url, query, { input: { features: names, entities } });
  expect(body.data.onlineFeatures.features).toEqual(
    Object.entries(expected).map(([name, values]) => ({ name, values })),
  );
});

test('a service’s aliases and join keys are Feast’s; what only Feast computes is refused by its name', async () => {
  const view = await makeView([row(1, 2, 11), row(2, 2, 12)]);
  await materialize(view);
  const [service, computed, without] = ['trade', 'computed', 'without'].map((name) => `${view}_${name}`);
  const parts = ['buyer', 'seller'].map((who) => ({ view, alias: who, join_keys: { customer_id: `${who}_id` } }));
  await sdk.apply('service', { service, parts });
  const entities = { buyer_id: [1, 2], seller_id: [2, 3] };
  const request = { feature_service: service, entities, full_feature_names: true };
  const answer = await poll(
    () => rest(here, '/feast/online', request),
    ({ status }) => status === 200,
  );
  const { metadata, results } = onlineAnswer.parse(answer.answer);
  const {
    buyer_id: _buyers,
    seller_id: _sellers,
    ...ours
  } = Object.fromEntries(metadata.feature_names.map((name, index) => [name, results[index]?.values]));
  expect(ours).toMatchObject({ buyer__total_purchases: [11, 12], seller__total_purchases: [12, null] });
  expect(await sdk.online(service ?? '', entities, true)).toMatchObject(ours);
  const trained = trainedFeatures(
    ['buyer', 'seller'].map((who) => ({
      featureView: who,
      features: ['total_purchases'],
      retrieval: { view, join_keys: { customer_id: `${who}_id` }, full_feature_names: true },
    })),
  );
  const wanted = trained.map((feature) => ({ ...feature, column: `of the ${feature.viewName}` }));
  const columns = await here.services.onlineFeatures.readTrained(wanted, entities);
  expect(columns.map(({ name, cells }) => [name, cells.map(({ value }) => value)])).toEqual([
    ['of the buyer', [11, 12]],
    ['of the seller', [12, null]],
  ]);
  for (const changes of [{ version: 1 }, { view: `${view}_gone` }, { feature: 'gone' }]) {
    const asked = wanted.slice(0, 1).map((each) => ({ ...each, ...changes }));
    await expect(here.services.onlineFeatures.readTrained(asked, { buyer_id: [1] })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('the model was trained on'),
    });
  }
  expect(await detail({ ...request, entities: { buyer_id: [1], seller_id: ['x'] } })).toMatchObject({
    loc: ['body', 'entities', 'seller_id', 0],
    msg: expect.stringContaining('seller_id is a whole number'),
  });

  await sdk.apply('on demand', { view: computed, of: view });
  await sdk.apply('view', { view: without, table: view, features: { name: 'String' }, entities: [] });
  const onDemand = { service: `${service}_2`, parts: [{ view: computed, on_demand: true }] };
  await sdk.apply('service', onDemand);
  const refusals = [
    [{ feature_service: onDemand.service }, `${computed} is an on-demand feature view, which only Feast itself serves`],
    [{ features: [`${without}:name`] }, `feature view ${without} has no entity`],
  ] as const;
  for (const [asked, message] of refusals) {
    const told = () => detail({ ...asked, entities: { customer_id: [1] } });
    await expect.poll(told).toMatchObject({ msg: expect.stringContaining(message) });
  }
  await expect(materialize(without ?? '')).rejects.toThrow('it has no entity');
  expect(await totals(view, [1])).toEqual([11]);
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
  const state = `{ featureView(name: "${view}") { materialization { isBehind lagSeconds entities snapshotId } } }`;
  const behind = await post(here.url, state);
  expect(behind.body.data.featureView.materialization).toMatchObject({ isBehind: true, entities: 3 });
  expect(behind.body.data.featureView.materialization.lagSeconds).toBeGreaterThan(0);
  const { snapshot_id: snapshotId, ...came } = await materialize(view);
  expect(came).toMatchObject({ mode: 'FULL', entities_deleted: 2, entities: 2 });
  const done = { isBehind: false, lagSeconds: 0, entities: 2, snapshotId };
  expect((await post(here.url, state)).body.data.featureView.materialization).toEqual(done);
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

test('a row that is dated in the future waits for its time', { timeout: 120_000 }, async () => {
  const { view, found } = await inTimeEnough(
    async (seconds) => {
      const soon = new Date(Date.now() + seconds * 1000);
      const view = await makeView([row(1, 1, 10), row(1, 0, 11, { event_timestamp: soon.toISOString() })]);
      await materialize(view);
      const found = await totals(view, [1]);
      return { view, found, wasInTime: Date.now() < soon.getTime() };
    },
    ({ wasInTime }) => wasInTime,
  );
  expect(found).toEqual([10]);
  await expect.poll(async () => [(await materialize(view)).mode, await totals(view, [1])]).toEqual(['FULL', [11]]);
});

const onlineAnswer = z.object({
  metadata: z.object({ feature_names: z.array(z.string()) }),
  results: z.array(z.looseObject({ values: z.array(z.unknown()) })),
});
const refused = z.object({ detail: z.array(z.object({ loc: z.array(z.unknown()), msg: z.string() })) });

/** What is said of the first mistake in a request for online features; undefined when there is none. */
async function detail(request: object): Promise<unknown> {
  const { answer } = await rest(here, '/feast/online', request);
  return refused.safeParse(answer).data?.detail[0];
}

const materialization = z.looseObject({
  materialization_id: z.string(),
  feature_view: z.string(),
  status: z.string(),
  error: z.string().nullable(),
});
const started = z.object({ materializations: z.array(materialization) });

async function rest(api: GraphqlForTests, path: string, body?: object): Promise<{ status: number; answer: unknown }> {
  const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(`${api.url}${path}`, body === undefined ? {} : json);
  return { status: response.status, answer: await response.json() };
}

/** Begins by REST. @returns the run's id */
async function start(api: GraphqlForTests, view: string): Promise<string> {
  const { status, answer } = await rest(api, '/feast/materialize', { feature_views: [view] });
  expect([status, answer]).toMatchObject([202, { materializations: [{ feature_view: view }] }]);
  return started.parse(answer).materializations[0]?.materialization_id ?? '';
}

const look = async (api: GraphqlForTests, id: string) =>
  materialization.parse((await rest(api, `/feast/materializations/${id}`)).answer);
const end = (api: GraphqlForTests, id: string) =>
  poll(
    () => look(api, id),
    ({ status }) => status === 'completed' || status === 'failed',
  );

/** Holds the writing of a view's values up until it is disposed of. */
async function heldUp(view: string): Promise<AsyncDisposable> {
  const client = await features.database.pool.connect();
  await client.query(`BEGIN; LOCK TABLE feast_online."asgard_${view}" IN ACCESS EXCLUSIVE MODE`);
  return { [Symbol.asyncDispose]: async () => client.query('ROLLBACK').then(() => client.release()) };
}

test('REST answers as feast serve does, and GraphQL with the same values', async () => {
  const view = await makeView([row(1, 2, 11), row(2, 30, 12)], { ttlSeconds: 24 * 3600 });
  expect(await end(here, await start(here, view))).toMatchObject({ status: 'completed', mode: 'full', entities: 2 });
  const { status, answer } = await rest(here, '/feast/online', {
    features: [`${view}:total_purchases`, `${view}:name`],
    entities: { customer_id: [1, '2', 3] },
    full_feature_names: true,
  });
  expect([status, answer]).toEqual([
    200,
    {
      metadata: { feature_names: ['customer_id', `${view}__total_purchases`, `${view}__name`] },
      results: [
        expect.objectContaining({ values: [1, '2', 3], statuses: ['PRESENT', 'PRESENT', 'PRESENT'] }),
        {
          values: [11, null, null],
          statuses: ['PRESENT', 'OUTSIDE_MAX_AGE', 'NOT_FOUND'],
          event_timestamps: [expect.any(String), expect.any(String), '1970-01-01T00:00:00Z'],
          ages_seconds: [expect.closeTo(7200, -2), expect.closeTo(30 * 3600, -2), null],
        },
        expect.objectContaining({ values: ['kůň 11', null, null] }),
      ],
    },
  ]);
  const query = `query ($input: OnlineFeaturesInput!) { onlineFeatures(input: $input) {
    entities features { name values statuses agesSeconds eventTimestamps } } }`;
  const input = { features: [`${view}:total_purchases`], entities: { customer_id: [1, 2, 3] } };
  const { body } = await post(here.url, query, { input });
  expect(body.data.onlineFeatures.features).toMatchObject([
    { name: 'total_purchases', values: [11, null, null], statuses: ['PRESENT', 'EXPIRED', 'MISSING'] },
  ]);
});

test('what is not known is refused by its name, with the nearest that is', async () => {
  const view = await makeView([row(1, 2, 11)]);
  const offline = await makeView([row(1, 2, 11)], { online: false });
  const refusal = async (changes: object) => {
    const body = { features: [`${view}:name`], entities: { customer_id: [1] }, ...changes };
    const { status, answer } = await rest(here, '/feast/online', body);
    return [status, refused.parse(answer).detail[0]];
  };
  const cases: [object, (string | number)[], string][] = [
    [{ features: [`${view}x:name`] }, ['features', 0], `there is no feature view "${view}x"; did you mean "${view}"?`],
    [
      { features: [`${view}:nam`] },
      ['features', 0],
      `there is no feature "nam" in feature view ${view}; did you mean "name"?`,
    ],
    [{ features: ['name'] }, ['features', 0], 'a feature is named view:feature, not "name"'],
    [
      { features: [`${offline}:name`] },
      ['features', 0],
      `feature view ${offline} is not online: apply it with "online": true first`,
    ],
    [
      { entities: { customer: [1] } },
      ['entities', 'customer'],
      'there is no join key "customer"; did you mean "customer_id"?',
    ],
    [
      { entities: { customer_id: [1, 'x'] } },
      ['entities', 'customer_id', 1],
      'customer_id is a whole number of 64 bits; beyond 2^53 as a string of its digits, not "x"',
    ],
    [
      { features: null, feature_service: 'none' },
      ['feature_service'],
      expect.stringContaining('there is no feature service "none"'),
    ],
    [
      { entities: { customer_id: Array(1001).fill(1) } },
      ['entities', 'customer_id'],
      'Should have at most 1000 item(s)',
    ],
  ];
  for (const [changes, place, message] of cases) {
    expect(await refusal(changes)).toEqual([422, { loc: ['body', ...place], msg: message }]);
  }
  expect(await rest(here, '/feast/materialize', { feature_views: [`${view}x`] })).toMatchObject({ status: 404 });
  expect(await rest(here, '/feast/materialize', { feature_views: [offline] })).toMatchObject({ status: 409 });
});

test('a view is materialized once at a time, whichever platform is asked; both tell how it goes', async () => {
  const view = await makeView([row(1, 2, 11)]);
  const ids = await (async () => {
    await using _held = await heldUp(view);
    const ids = await Promise.all([here, there, here].map((api) => start(api, view)));
    await poll(
      () => look(there, ids[0] ?? ''),
      ({ status }) => status === 'running',
    );
    await expect(materialize(view, features.otherBridge())).rejects.toThrow('is being materialized already');
    return ids;
  })();
  expect(new Set(ids).size).toBe(1);
  const [id = ''] = ids;
  const statuses: string[] = [];
  const events = 'subscription ($id: ID!) { materializationEvents(id: $id) { status featureViewName } }';
  for await (const { data } of overSocket(there.url, events, { id })) statuses.push(data.materializationEvents.status);
  expect(statuses.at(-1)).toBe('COMPLETED');
  const list = await post(there.url, `{ materializations(featureViewName: "${view}") { id mode entities } }`);
  expect(list.body.data.materializations).toEqual([{ id, mode: 'FULL', entities: 1 }]);
});

test('while a run goes on, events tell how much it has read', async () => {
  const view = await makeView([row(1, 2, 11), row(1, 1, 12), row(2, 1, 20)]);
  const held = await heldUp(view);
  const id = await start(here, view);
  const events = 'subscription ($id: ID!) { materializationEvents(id: $id) { status rowsRead entities } }';
  const seen: { status: string; rowsRead: number; entities: number }[] = [];
  let isHeld = true;
  for await (const { data } of overSocket(there.url, events, { id })) {
    const event = data.materializationEvents;
    seen.push(event);
    // It has read all, and waits to bring it in.
    const isWaiting = event.status === 'RUNNING' && event.rowsRead > 0;
    if (isWaiting && isHeld) await held[Symbol.asyncDispose]();
    isHeld &&= !isWaiting;
  }
  expect(seen).toContainEqual({ status: 'RUNNING', rowsRead: 3, entities: 2 });
  expect(seen.at(-1)).toEqual({ status: 'COMPLETED', rowsRead: 3, entities: 2 });
});

test('a bridge that is killed in the middle changes nothing, and the next run does it all', async () => {
  const view = await makeView([row(1, 2, 11)]);
  await materialize(view);
  await sdk.overwrite(`gold.${view}`, COLUMNS, 'customer_id == 1', [row(1, 1, 12), row(2, 1, 20)]);
  await (async () => {
    await using _held = await heldUp(view);
    const id = await start(here, view);
    await poll(
      () => waitingToWrite(view),
      (count) => count > 0,
    );
    process.kill(features.bridge.pid ?? 0, 'SIGKILL');
    expect(await end(here, id)).toMatchObject({ status: 'failed', error: expect.stringContaining('try again') });
    await poll(
      () => waitingToWrite(view),
      (count) => count === 0,
    );
  })();
  expect(await totals(view, [1, 2])).toEqual([11, null]);
  expect(await end(here, await start(here, view))).toMatchObject({ status: 'completed', mode: 'full' });
  expect(await totals(view, [1, 2])).toEqual([12, 20]);
});

/** Sessions that wait for a lock on a view's values. */
async function waitingToWrite(view: string): Promise<number> {
  const { rows } = await features.database.pool.query<{ count: number }>(
    'SELECT count(*)::int FROM pg_locks WHERE NOT granted AND relation = $1::regclass',
    [`feast_online."asgard_${view}"`],
  );
  return rows[0]?.count ?? 0;
}

test('a run whose platform is gone does not stay RUNNING', async () => {
  const view = await makeView([row(1, 2, 11)]);
  const id = '00000000deadbeef';
  const leaseExpiresAt = new Date(Date.now() - 1000);
  const gone = {
    id,
    featureView: view,
    status: 'RUNNING',
    trigger: 'REQUEST',
    platform: 'gone',
    leaseExpiresAt,
  } as const;
  await here.database.materialization.create({ data: gone });
  expect(await end(here, await start(here, view))).toMatchObject({ status: 'completed' });
  expect(await look(here, id)).toMatchObject({ status: 'failed', error: expect.stringContaining('is gone') });
});

test('the schedule materializes what has something new, when its interval is over', async () => {
  const view = await makeView([row(1, 2, 11)], { tags: { materialize_every_seconds: '1' } });
  const { materializations } = here.services;
  await using store = new OnlineStore(features.settings.databaseUrl);
  await using _schedule = new MaterializationSchedule({
    materializations,
    views: new OnlineViewCache(features.bridge, store),
    health: { current: async () => ({ isAvailable: true, featureViews: 1, trouble: null }) },
    everySeconds: 0,
    lookEveryMs: 100,
    logger: createLogger('silent', false),
  });
  const modes = () =>
    materializations.list(view, 10).then((rows) => rows.map(({ mode, trigger }) => `${trigger} ${mode}`));
  await poll(modes, (seen) => seen[0] === 'SCHEDULE FULL');
  await sdk.append(`gold.${view}`, COLUMNS, [row(2, 1, 20)]);
  expect(await poll(modes, (seen) => seen[0] === 'SCHEDULE INCREMENTAL')).toHaveLength(2);
  expect(await totals(view, [1, 2])).toEqual([11, 20]);
});
