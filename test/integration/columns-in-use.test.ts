import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { type GraphqlForTests, startGraphql } from '../support/graphql-for-tests.ts';
import { poll } from '../support/poll.ts';
import { uniqueName } from '../support/unique-name.ts';

/*
 * A table that is replaced keeps what its feature views read, whichever of the two is first.
 */
let features: FeaturesForTests;
let api: GraphqlForTests;
beforeAll(async () => {
  features = await FeaturesForTests.start();
  const { url } = await features.databases.create();
  api = await startGraphql(undefined, url, features.bridge);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await features?.[Symbol.asyncDispose]();
});

/** As `python/asgard_feast/registry/transaction.py` has it. */
const REGISTRY_LOCK = 6_041_975_113;
const AT = '2025-11-03T10:00:00Z';

async function call(method: string, path: string, type = '', body?: string) {
  const sent = body === undefined ? {} : { headers: { 'content-type': type }, body };
  const answer = await fetch(`${api.url}${path}`, { method, ...sent });
  return { status: answer.status, body: await answer.json() };
}

/** Replaces a table by one row. @param row by column; a text is written as it is */
function put(table: string, row: Record<string, string | number>, query = '') {
  const lines = [Object.keys(row), Object.values(row)].map((cells) => cells.join(','));
  return call('PUT', `/iceberg/tables/gold/${table}${query}`, 'text/csv', `${lines.join('\n')}\n`);
}

/** Applies a view of the feature `n`, unless the changes say otherwise. */
function apply(name: string, table: string, changes: object = {}) {
  const source = { table_name: table, catalog: 'iceberg', schema: 'gold', timestamp_field: 'at', ...changes };
  const view = { name, entities: ['id'], features: [{ name: 'n', dtype: 'int64' }], source };
  return call('POST', '/feast/features', 'application/json', JSON.stringify(view));
}

const columnsOf = async (table: string) =>
  (await call('GET', `/iceberg/tables/gold/${table}`)).body.columns.map(
    ({ name, type }: { name: string; type: string }) => `${name} ${type}`,
  );

async function makeTable(): Promise<string> {
  const table = uniqueName('needed').replaceAll('-', '_');
  expect(await put(table, ROW, '?types={"n":"int"}')).toMatchObject({ status: 201 });
  return table;
}
const ROW = { id: 1, at: AT, made: AT, n: 1, spare: 'x' };
const COLUMNS = ['id long', 'at timestamptz', 'made timestamptz', 'n int', 'spare string'];

test('a replacement without a column that a view reads, or with another type of it, is refused and leaves nothing', async () => {
  const table = await makeTable();
  expect(await apply('reads_n', table)).toMatchObject({ status: 201 });
  expect(await apply('reads_made', table, { created_timestamp_column: 'made' })).toMatchObject({ status: 201 });
  const refusals: [row: Record<string, string | number>, why: string][] = [
    [
      { id: 1, at: AT, made: AT },
      'reads_made reads "n", which would be gone; reads_n reads "n", which would be gone; change or delete those first',
    ],
    [{ ...ROW, n: 1.5 }, 'reads_n reads "n", which would be double; '],
    [{ ...ROW, id: 'a' }, 'reads_n reads "id", which would be string; '],
    [{ ...ROW, at: 'noon' }, 'reads_n reads "at", which would be string; '],
    [{ id: 1, at: AT, n: 1 }, 'views: reads_made reads "made", which would be gone; change'],
  ];
  for (const [row, why] of refusals) {
    const start = `table gold.${table} would lose columns of feature views: `;
    const { status, body } = await put(table, row);
    expect([status, body.detail]).toEqual([409, expect.stringContaining(why)]);
    expect(body.detail.slice(0, start.length)).toBe(start);
  }
  expect(await columnsOf(table)).toEqual(COLUMNS);
  expect(await readdir(join(features.settings.warehouse, 'gold', table, 'data'))).toHaveLength(1);
  expect(await apply('reads_n', table)).toMatchObject({ body: { status: 'unchanged' } });
});

test('what no view reads goes, a wider type is taken, and all of it once the views are gone', async () => {
  const table = await makeTable();
  expect(await apply('needs_n', table)).toMatchObject({ status: 201 });
  expect(await put(table, { id: 1, at: AT, n: 2 ** 40, more: 1 })).toMatchObject({ status: 200 });
  expect(await columnsOf(table)).toEqual(['id long', 'at timestamptz', 'n long', 'more long']);
  // Another column of its name, as Iceberg narrows none, which the view's type holds all the same.
  expect(await put(table, { id: 1, at: AT, n: 7 }, '?types={"n":"int"}')).toMatchObject({ status: 200 });
  expect(await put(table, { id: 1 })).toMatchObject({ status: 409 });
  await call('DELETE', '/feast/features/needs_n');
  expect(await put(table, { id: 1 })).toMatchObject({ status: 200 });
});

test.each(['replacement', 'view'])(
  'of a replacement and a view that needs what it takes, the first is done: the %s',
  async (first) => {
    const table = await makeTable();
    const name = `late_${first}`;
    const holder = await features.database.pool.connect();
    await holder.query(`SELECT pg_advisory_lock(${REGISTRY_LOCK})`);
    const isWaitedFor = (count: number) =>
      poll(
        async () => (await holder.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).rowCount,
        (seen) => seen === count,
      );
    // Each has found that it can be done, and waits for the lock, which is given to the one that asked first.
    const replace = () => put(table, { id: 1, at: AT });
    const asked = first === 'view' ? [() => apply(name, table), replace] : [replace, () => apply(name, table)];
    const answers: ReturnType<typeof call>[] = [];
    for (const ask of asked) {
      answers.push(ask());
      await isWaitedFor(answers.length);
    }
    await holder.query(`SELECT pg_advisory_unlock(${REGISTRY_LOCK})`);
    holder.release();
    const [done, refused] = await Promise.all(answers);
    const view = await call('GET', `/feast/features/${name}`);
    if (first === 'view') {
      expect([done?.status, refused?.status, view.status]).toEqual([201, 409, 200]);
      expect(refused?.body.detail).toContain(`late_view reads "n", which would be gone`);
      expect(await columnsOf(table)).toEqual(COLUMNS);
    } else {
      expect([done?.status, refused?.status, view.status]).toEqual([200, 422, 404]);
      expect(refused?.body.detail).toMatchObject([{ msg: expect.stringContaining('has no column "n"') }]);
      expect(await columnsOf(table)).toEqual(['id long', 'at timestamptz']);
    }
  },
);
