import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnlineStore } from '../../src/feast/online-store.ts';
import { MaterializationSchedule } from '../../src/features/materialization-schedule.ts';
import { OnlineViewCache } from '../../src/features/online-views.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { post } from '../support/graphql-for-tests.ts';
import { OnlineForTests } from '../support/online-for-tests.ts';
import { ageOf, COLUMNS, DTYPES, row } from '../support/online-view.ts';
import { poll } from '../support/poll.ts';
import { overSocket } from '../support/subscriptions.ts';
import { inTimeEnough } from '../support/time-enough.ts';

let own: OnlineForTests;
beforeAll(async () => {
  own = await OnlineForTests.start();
});
afterAll(() => own?.[Symbol.asyncDispose]());

test('what is materialized reads as Feast reads it, row for row what Feast writes', async () => {
  const began = Date.now();
  const newest = [row(1, 2, 11), row(-2, 3, 2 ** 40), row(3, 1, null)];
  const ofNobody = [row(null, 1, 9), row(4, 1, 5, { event_timestamp: null })];
  const view = await own.makeView([row(1, 5, 10), ...newest, ...ofNobody]);
  const expected = {
    mode: 'FULL',
    entities: 3,
    rows_read: 6,
    rows_skipped: 2,
    values_written: 12,
    entities_deleted: 0,
  };
  expect(await own.materialize(view)).toMatchObject(expected);

  const { columns } = await own.read(view, [1, -2, 3, 99]);
  const statuses = Object.fromEntries(columns.map(({ name, cells }) => [name, cells.map(({ status }) => status)]));
  const [first] = columns;
  expect(statuses).toEqual(
    Object.fromEntries(Object.keys(DTYPES).map((name) => [name, ['PRESENT', 'PRESENT', 'PRESENT', 'MISSING']])),
  );
  expect(first?.cells[0]?.ageSeconds).toEqual(ageOf(2, began));
  const theirs = await own.sdk.online(
    Object.keys(DTYPES).map((name) => `${view}:${name}`),
    { customer_id: [1, -2, 3, 99] },
  );
  for (const { name, cells } of columns) {
    expect(cells.map(({ value }) => value)).toEqual(theirs[name]);
    expect(cells.map(({ eventAtMs }) => Math.floor((eventAtMs ?? 0) / 1000))).toEqual(theirs[`${name}__ts`]);
  }

  const stored = async () => {
    const { rows } = await own.features.database.pool.query(
      `SELECT * FROM feast_online."asgard_${view}" ORDER BY entity_key, feature_name`,
    );
    return rows;
  };
  const ours = await stored();
  await own.features.database.pool.query(`TRUNCATE feast_online."asgard_${view}"`);
  await own.sdk.write(view, COLUMNS, newest);
  expect(await stored()).toEqual(ours);
});

test('appended rows are read alone; a late one does not go before a newer one', async () => {
  const view = await own.makeView([row(1, 5, 10), row(2, 5, 20)]);
  await own.materialize(view);
  expect(await own.materialize(view)).toMatchObject({
    mode: 'UNCHANGED',
    rows_read: 0,
    values_written: 0,
    entities: 2,
  });
  await own.sdk.append(`gold.${view}`, COLUMNS, [row(1, 9, 1), row(2, 1, 21)]);
  await own.sdk.append(`gold.${view}`, COLUMNS, [row(3, 100, 30)]);
  expect(await own.materialize(view)).toMatchObject({
    mode: 'INCREMENTAL',
    rows_read: 3,
    values_written: 8,
    entities: 3,
  });
  expect(await own.totals(view, [1, 2, 3])).toEqual([10, 21, 30]);
});

test('values of rows that were deleted or overwritten are gone after the next materialization', async () => {
  const view = await own.makeView([row(1, 5, 10), row(2, 5, 20), row(3, 5, 30), row(3, 1, 31)]);
  await own.materialize(view);
  await own.sdk.delete(`gold.${view}`, 'customer_id == 1');
  await own.sdk.delete(`gold.${view}`, 'total_purchases == 31');
  await own.sdk.overwrite(`gold.${view}`, COLUMNS, 'customer_id == 2', [row(4, 5, 40)]);
  const state = `{ featureView(name: "${view}") { materialization { isBehind lagSeconds entities snapshotId } } }`;
  const behind = await post(own.here.url, state);
  expect(behind.body.data.featureView.materialization).toMatchObject({ isBehind: true, entities: 3 });
  expect(behind.body.data.featureView.materialization.lagSeconds).toBeGreaterThan(0);
  const { snapshot_id: snapshotId, ...came } = await own.materialize(view);
  expect(came).toMatchObject({ mode: 'FULL', entities_deleted: 2, entities: 2 });
  const done = { isBehind: false, lagSeconds: 0, entities: 2, snapshotId };
  expect((await post(own.here.url, state)).body.data.featureView.materialization).toEqual(done);
  expect(await own.totals(view, [1, 2, 3, 4])).toEqual([null, null, 30, 40]);
});

test('a value that is older than the ttl is marked, and not given', async () => {
  const began = Date.now();
  const view = await own.makeView([row(1, 1, 10), row(2, 3, 20)], { ttlSeconds: 2 * 3600 });
  await own.materialize(view);
  const { columns } = await own.read(view, [1, 2, 3], ['total_purchases']);
  expect(columns[0]?.cells).toMatchObject([
    { status: 'PRESENT', value: 10 },
    { status: 'EXPIRED', value: null, ageSeconds: ageOf(3, began) },
    { status: 'MISSING', value: null, ageSeconds: null, eventAtMs: null },
  ]);
});

test('a row that is dated in the future waits for its time', { timeout: 120_000 }, async () => {
  const { view, found } = await inTimeEnough(
    async (seconds) => {
      const soon = new Date(Date.now() + seconds * 1000);
      const view = await own.makeView([row(1, 1, 10), row(1, 0, 11, { event_timestamp: soon.toISOString() })]);
      await own.materialize(view);
      const found = await own.totals(view, [1]);
      return { view, found, wasInTime: Date.now() < soon.getTime() };
    },
    ({ wasInTime }) => wasInTime,
  );
  expect(found).toEqual([10]);
  await expect
    .poll(async () => [(await own.materialize(view)).mode, await own.totals(view, [1])])
    .toEqual(['FULL', [11]]);
});

test('a view is materialized once at a time, whichever platform is asked; both tell how it goes', async () => {
  const view = await own.makeView([row(1, 2, 11)]);
  const ids = await (async () => {
    await using _held = await own.heldUp(view);
    const ids = await Promise.all([own.here, own.there, own.here].map((api) => own.start(api, view)));
    await poll(
      () => own.look(own.there, ids[0] ?? ''),
      ({ status }) => status === 'running',
    );
    await expect(own.materialize(view, own.features.otherBridge())).rejects.toThrow('is being materialized already');
    return ids;
  })();
  expect(new Set(ids).size).toBe(1);
  const [id = ''] = ids;
  const statuses: string[] = [];
  const events = 'subscription ($id: ID!) { materializationEvents(id: $id) { status featureViewName } }';
  for await (const { data } of overSocket(own.there.url, events, { id }))
    statuses.push(data.materializationEvents.status);
  expect(statuses.at(-1)).toBe('COMPLETED');
  const list = await post(own.there.url, `{ materializations(featureViewName: "${view}") { id mode entities } }`);
  expect(list.body.data.materializations).toEqual([{ id, mode: 'FULL', entities: 1 }]);
});

test('while a run goes on, events tell how much it has read', async () => {
  const view = await own.makeView([row(1, 2, 11), row(1, 1, 12), row(2, 1, 20)]);
  const held = await own.heldUp(view);
  const id = await own.start(own.here, view);
  const events = 'subscription ($id: ID!) { materializationEvents(id: $id) { status rowsRead entities } }';
  const seen: { status: string; rowsRead: number; entities: number }[] = [];
  for await (const { data } of overSocket(own.there.url, events, { id })) {
    const event = data.materializationEvents;
    seen.push(event);
    // It has read all, and waits to bring it in.
    if (event.status === 'RUNNING' && event.rowsRead > 0) await held[Symbol.asyncDispose]();
  }
  expect(seen).toContainEqual({ status: 'RUNNING', rowsRead: 3, entities: 2 });
  expect(seen.at(-1)).toEqual({ status: 'COMPLETED', rowsRead: 3, entities: 2 });
});

test('a bridge that is killed in the middle changes nothing, and the next run does it all', async () => {
  const view = await own.makeView([row(1, 2, 11)]);
  await own.materialize(view);
  await own.sdk.overwrite(`gold.${view}`, COLUMNS, 'customer_id == 1', [row(1, 1, 12), row(2, 1, 20)]);
  await (async () => {
    await using _held = await own.heldUp(view);
    const id = await own.start(own.here, view);
    await poll(
      () => waitingToWrite(view),
      (count) => count > 0,
    );
    process.kill(own.features.bridge.pid ?? 0, 'SIGKILL');
    expect(await own.end(own.here, id)).toMatchObject({
      status: 'failed',
      error: expect.stringContaining('try again'),
    });
    await poll(
      () => waitingToWrite(view),
      (count) => count === 0,
    );
  })();
  expect(await own.totals(view, [1, 2])).toEqual([11, null]);
  expect(await own.end(own.here, await own.start(own.here, view))).toMatchObject({ status: 'completed', mode: 'full' });
  expect(await own.totals(view, [1, 2])).toEqual([12, 20]);
});

/** Sessions that wait for a lock on a view's values. */
async function waitingToWrite(view: string): Promise<number> {
  const { rows } = await own.features.database.pool.query<{ count: number }>(
    'SELECT count(*)::int FROM pg_locks WHERE NOT granted AND relation = $1::regclass',
    [`feast_online."asgard_${view}"`],
  );
  return rows[0]?.count ?? 0;
}

test('a run whose platform is gone does not stay RUNNING', async () => {
  const view = await own.makeView([row(1, 2, 11)]);
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
  await own.here.database.materialization.create({ data: gone });
  expect(await own.end(own.here, await own.start(own.here, view))).toMatchObject({ status: 'completed' });
  expect(await own.look(own.here, id)).toMatchObject({ status: 'failed', error: expect.stringContaining('is gone') });
});

test('the schedule materializes what has something new, when its interval is over', async () => {
  const view = await own.makeView([row(1, 2, 11)], { tags: { materialize_every_seconds: '1' } });
  const { materializations } = own.here.services;
  await using store = new OnlineStore(own.features.settings.databaseUrl);
  await using _schedule = new MaterializationSchedule({
    materializations,
    views: new OnlineViewCache(own.features.bridge, store),
    health: { current: async () => ({ isAvailable: true, featureViews: 1, trouble: null }) },
    everySeconds: 0,
    lookEveryMs: 100,
    logger: createLogger('silent', false),
  });
  const modes = () =>
    materializations.list(view, 10).then((rows) => rows.map(({ mode, trigger }) => `${trigger} ${mode}`));
  await poll(modes, (seen) => seen[0] === 'SCHEDULE FULL');
  await own.sdk.append(`gold.${view}`, COLUMNS, [row(2, 1, 20)]);
  expect(await poll(modes, (seen) => seen[0] === 'SCHEDULE INCREMENTAL')).toHaveLength(2);
  expect(await own.totals(view, [1, 2])).toEqual([11, 20]);
});
