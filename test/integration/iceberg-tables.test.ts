import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from '../support/data-folder.ts';
import type { TestDatabase } from '../support/databases.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { type GraphqlForTests, post, startGraphql, UPLOAD_LIMIT_BYTES } from '../support/graphql-for-tests.ts';
import { poll } from '../support/poll.ts';
import { uniqueName } from '../support/unique-name.ts';

/*
 * Tables by REST and GraphQL, on the real bridge, pyiceberg and PostgreSQL.
 */
let features: FeaturesForTests;
let database: TestDatabase;
let api: GraphqlForTests;
beforeAll(async () => {
  features = await FeaturesForTests.start();
  database = await features.databases.create();
  api = await startGraphql(undefined, database.url, features.bridge);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  await features?.[Symbol.asyncDispose]();
});

/** As `python/asgard_feast/registry/transaction.py` has it. */
const REGISTRY_LOCK = 6_041_975_113;

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
  readonly body: any;
}

async function send(method: string, table: string, body: BodyInit, options: Record<string, string> = {}) {
  const { query = '', ...headers } = options;
  const response = await fetch(`${api.url}/iceberg/tables/gold/${table}${query}`, {
    method,
    headers: { 'content-type': 'text/csv', ...headers },
    body,
    ...{ duplex: 'half' },
  });
  return { status: response.status, body: await response.json() } satisfies Answer;
}

async function get(table: string, query = ''): Promise<Answer> {
  const response = await fetch(`${api.url}/iceberg/tables/gold/${table}${query}`);
  return { status: response.status, body: await response.json() };
}

async function remove(table: string): Promise<Answer> {
  const response = await fetch(`${api.url}/iceberg/tables/gold/${table}`, { method: 'DELETE' });
  return { status: response.status, body: await response.json() };
}

describe('a table', () => {
  test('is made, appended to and replaced, each in one snapshot, and every snapshot can be read', async () => {
    const table = uniqueName('metrics').replaceAll('-', '_');
    const made = await send('PUT', table, 'customer_id,spent,seen\n1,2.5,2025-11-03T10:00:00Z\n9007199254740993,,\n');
    expect(made).toMatchObject({
      status: 201,
      body: {
        schema: 'gold',
        name: table,
        created: true,
        added_rows: 2,
        total_rows: 2,
        columns: [
          { name: 'customer_id', type: 'long', required: false, doc: null },
          { name: 'spent', type: 'double' },
          { name: 'seen', type: 'timestamptz' },
        ],
      },
    });
    const added = await send('POST', table, 'seen,customer_id,spent\n2025-11-04T10:00:00+02:00,3,1\n');
    expect(added).toMatchObject({ status: 200, body: { created: false, added_rows: 1, total_rows: 3 } });
    const replaced = await send('PUT', table, 'customer_id,spent,plan\n4,1,a\n');
    expect(replaced).toMatchObject({ status: 200, body: { created: false, added_rows: 1, total_rows: 1 } });
    expect(replaced.body.columns.map(({ name, type }: { name: string; type: string }) => `${name} ${type}`)).toEqual([
      'customer_id long',
      'spent double',
      'plan string',
    ]);

    const now = await get(table);
    expect(now).toMatchObject({
      status: 200,
      body: {
        row_count: 1,
        current_snapshot_id: replaced.body.snapshot_id,
        rows: [{ customer_id: 4, spent: 1, plan: 'a' }],
        snapshots: [
          { snapshot_id: replaced.body.snapshot_id, operation: 'overwrite', deleted_rows: 3, total_rows: 1 },
          { snapshot_id: added.body.snapshot_id, operation: 'append', added_rows: 1, total_rows: 3 },
          { snapshot_id: made.body.snapshot_id, operation: 'append', parent_id: null, total_rows: 2 },
        ],
      },
    });
    const before = await get(table, `?snapshot=${made.body.snapshot_id}&rows=5`);
    expect(before.body).toMatchObject({ row_count: 2, snapshot_id: made.body.snapshot_id });
    expect(before.body.rows).toEqual([
      { customer_id: 1, spent: 2.5, seen: '2025-11-03T10:00:00Z' },
      { customer_id: '9007199254740993', spent: null, seen: null },
    ]);

    const listed = await (await fetch(`${api.url}/iceberg/tables`)).json();
    expect(listed).toContainEqual({ schema: 'gold', name: table });
  });

  test('is replaced by a file with its columns in another order and of other types, each under its own name', async () => {
    const table = uniqueName('turned').replaceAll('-', '_');
    await send('PUT', table, 'a,b,c\n1,2,x\n');
    expect(await send('PUT', table, 'c,b,a\ny,3,4\n')).toMatchObject({ status: 200 });
    expect((await get(table)).body.rows).toEqual([{ a: 4, b: 3, c: 'y' }]);
    expect(await send('PUT', table, 'a,b,c\n5,0.5,z\n')).toMatchObject({ status: 200 });
    expect((await get(table)).body).toMatchObject({
      columns: [
        { name: 'a', type: 'long' },
        { name: 'c', type: 'string' },
        { name: 'b', type: 'double' },
      ],
      rows: [{ a: 5, b: 0.5, c: 'z' }],
    });
  });

  test('is written from Parquet, with types that are given', async () => {
    const table = uniqueName('parquet').replaceAll('-', '_');
    const path = join(features.folder, 'two.parquet');
    const script = `import sys, pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({"a": [1, 2], "list": [["x", "y"], None]}), sys.argv[1])`;
    await promisify(execFile)(toolchainPython(TOOLCHAIN), ['-I', '-c', script, path]);
    const file = await readFile(path);
    const type = { 'content-type': 'application/vnd.apache.parquet' };
    const made = await send('PUT', table, file, { ...type, query: `?types=${encodeURIComponent('{"a":"int"}')}` });
    expect(made).toMatchObject({ status: 201, body: { total_rows: 2 } });
    expect((await get(table)).body).toMatchObject({
      columns: [
        { name: 'a', type: 'int' },
        { name: 'list', type: 'list<string>' },
      ],
      rows: [
        { a: 1, list: ['x', 'y'] },
        { a: 2, list: null },
      ],
    });
  });

  test('keeps what it has when a file is refused, which is told by row and column', async () => {
    const table = uniqueName('kept').replaceAll('-', '_');
    const made = await send('PUT', table, 'id,n\n1,1\n');
    const refused = await send('POST', table, 'id,n\n2,2\n3,many\n');
    expect(refused).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 2, 'n'], msg: 'row 2, column "n": "many" is no long' }] },
    });
    const other = await send('POST', table, 'id,nn\n2,2\n');
    expect(other.body.detail.map(({ loc, msg }: { loc: unknown; msg: string }) => [loc, msg])).toEqual([
      [['body', 'columns', 'nn'], 'column "nn": the table has no such column; perhaps "n" is meant'],
      [['body', 'columns', 'n'], expect.stringContaining('the file lacks it')],
    ]);
    expect(await send('PUT', table, 'id,n\n1\n')).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 1], msg: 'row 1 has 1 fields, the header has 2: "1"' }] },
    });
    const now = await get(table);
    expect(now.body).toMatchObject({ current_snapshot_id: made.body.snapshot_id, rows: [{ id: 1, n: 1 }] });
    expect(await dataFiles(table)).toHaveLength(1);
    expect(await uploads()).toEqual([]);
  });

  test('that is not there is told with the one that is like it; names follow a rule', async () => {
    const table = uniqueName('orders').replaceAll('-', '_');
    await send('PUT', table, 'id\n1\n');
    const absent = { status: 404, body: { detail: expect.stringContaining(`perhaps gold.${table} is meant`) } };
    expect(await get(`${table}s`)).toMatchObject(absent);
    expect(await send('POST', `${table}s`, 'id\n1\n')).toMatchObject(absent);
    expect(await get(table, '?snapshot=12')).toMatchObject({ status: 404 });
    expect(await get('%00')).toMatchObject({ status: 404 });
    // Python takes U+0085 for a blank.
    expect((await fetch(`${api.url}/iceberg/tables/%C2%85/${table}`)).status).toBe(404);
    expect(await send('PUT', '1st', 'id\n1\n')).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['path', 'table'], msg: expect.stringContaining('not begin with a digit') }] },
    });
  });
});

describe('deleting a table', () => {
  test('removes the files of all its snapshots and no others, and a table of its name is a new one', async () => {
    const table = uniqueName('deleted').replaceAll('-', '_');
    for (const [method, rows] of Object.entries({ PUT: 'id\n1\n', POST: 'id\n2\n' })) await send(method, table, rows);
    await send('PUT', table, 'id\n3\n');
    const folder = join(features.folder, 'warehouse', 'gold', table);
    const stranger = join(folder, 'data', 'of-somebody-else.parquet');
    await writeFile(stranger, '');
    const before = await filesIn(folder);
    expect(await remove(table)).toEqual({
      status: 200,
      body: {
        schema: 'gold',
        name: table,
        status: 'deleted',
        message: `the table gold.${table} was deleted`,
        removed_files: before.length - 1,
        kept_files: 0,
      },
    });
    expect(await filesIn(folder)).toEqual([stranger]);
    expect(await get(table)).toMatchObject({ status: 404 });
    expect(await remove(table)).toMatchObject({ status: 404, body: { detail: expect.stringContaining('no table') } });
    expect(await send('PUT', table, 'other\n1\n')).toMatchObject({ status: 201, body: { created: true } });
    expect((await get(table)).body).toMatchObject({ rows: [{ other: 1 }], snapshots: [{}] });
  });

  test('is refused while feature views read it, which are named; none is made of it meanwhile', async () => {
    const table = uniqueName('read').replaceAll('-', '_');
    await send('PUT', table, 'id,event_timestamp,n\n1,2025-11-03T10:00:00Z,1\n');
    const view = (name: string) => ({
      name,
      entities: ['id'],
      features: [{ name: 'n', dtype: 'int64' }],
      source: { table_name: table, catalog: 'iceberg', schema: 'gold' },
    });
    const apply = (name: string) =>
      fetch(`${api.url}/feast/features`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(view(name)),
      });
    expect((await apply('first_of_it')).status).toBe(201);
    expect((await apply('second_of_it')).status).toBe(201);
    const why = `table gold.${table} is read by the feature views first_of_it, second_of_it: delete or change those first`;
    expect(await remove(table)).toMatchObject({ status: 409, body: { detail: why } });
    const mutation = `mutation ($table: String!) { deleteIcebergTable(schema: "gold", name: $table) {
      __typename ... on ConflictError { message } ... on DeletedIcebergTable { removedFiles keptFiles } } }`;
    const ask = async () => (await post(api.url, mutation, { table })).body.data.deleteIcebergTable;
    expect(await ask()).toEqual({ __typename: 'ConflictError', message: why });
    expect((await get(table)).body.row_count).toBe(1);
    for (const name of ['first_of_it', 'second_of_it'])
      await fetch(`${api.url}/feast/features/${name}`, { method: 'DELETE' });

    // Both have found what they need; the deletion is the first to get the lock, and a view of no table is not left.
    const holder = await features.database.pool.connect();
    await holder.query(`SELECT pg_advisory_lock(${REGISTRY_LOCK})`);
    const waiting = async () =>
      (await holder.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).rowCount;
    const deleting = ask();
    await poll(waiting, (count) => count === 1);
    const applying = apply('third_of_it');
    await poll(waiting, (count) => count === 2);
    await holder.query(`SELECT pg_advisory_unlock(${REGISTRY_LOCK})`);
    holder.release();
    expect(await deleting).toMatchObject({ removedFiles: expect.any(Number), keptFiles: 0 });
    expect((await applying).status).toBe(422);
    expect(await get(table)).toMatchObject({ status: 404 });
  });
});

describe('a body', () => {
  test('is of a type that is taken, and is there', async () => {
    expect(await send('PUT', 'any', '{}', { 'content-type': 'application/json' })).toMatchObject({
      status: 415,
      body: { detail: expect.stringContaining('text/csv or application/vnd.apache.parquet') },
    });
    expect(await send('PUT', 'any', '')).toMatchObject({ status: 422, body: { detail: [{ loc: ['body'] }] } });
  });

  test('beyond the limit is refused, said or not said to be so large, and leaves nothing', async () => {
    const part = Buffer.alloc(1024 * 1024, 'x');
    let sent = 0;
    const endless = new ReadableStream({
      pull: (controller) => {
        if (sent > 2 * UPLOAD_LIMIT_BYTES) return controller.close();
        sent += part.length;
        controller.enqueue(part);
      },
    });
    const answers = [
      await send('PUT', 'large', Buffer.alloc(UPLOAD_LIMIT_BYTES + 1)),
      await send('PUT', 'large', endless),
    ];
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 413, body: { detail: expect.stringContaining('at most 32 MiB') } });
    }
    expect(await get('large')).toMatchObject({ status: 404 });
    expect(await uploads()).toEqual([]);
  });

  test('that is cut in the middle leaves nothing', async () => {
    const cut = request(`${api.url}/iceberg/tables/gold/cut`, {
      method: 'PUT',
      headers: { 'content-type': 'text/csv', 'content-length': 100 },
    });
    cut.on('error', () => {});
    cut.write('id\n1\n');
    await poll(uploads, (files) => files.length === 1);
    cut.destroy();
    await poll(uploads, (files) => files.length === 0);
    expect(await get('cut')).toMatchObject({ status: 404 });
  });
});

describe('writers at once', () => {
  test('of two platforms on one table: all rows are kept, and all answers are true', async () => {
    const table = uniqueName('shared').replaceAll('-', '_');
    await send('PUT', table, 'id\n0\n');
    await using other = await startGraphql(undefined, database.url, features.otherBridge());
    const urls = [api.url, other.url].map((url) => `${url}/iceberg/tables/gold/${table}`);
    const answers = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const body = `id\n${index + 1}\n`;
        const url = urls[index % 2] ?? '';
        const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'text/csv' }, body });
        return { status: answer.status, body: written.parse(await answer.json()) };
      }),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    const { body } = await get(table);
    expect(body.rows.map(({ id }: { id: number }) => id).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    // Each names the snapshot that added its row, and how many there were then.
    const made = new Map<string, number>(
      body.snapshots.map((each: { snapshot_id: string; total_rows: number }) => [each.snapshot_id, each.total_rows]),
    );
    for (const { body: answer } of answers) expect(made.get(answer.snapshot_id)).toBe(answer.total_rows);
  });

  test('of one new table: it is made once, and replaced by the other', async () => {
    const table = uniqueName('new').replaceAll('-', '_');
    await using other = await startGraphql(undefined, database.url, features.otherBridge());
    const bodies = ['id,a\n1,1\n', 'id,b\n2,2\n'];
    const answers = await Promise.all(
      [api.url, other.url].map((url, index) =>
        fetch(`${url}/iceberg/tables/fresh_${table}/${table}`, {
          method: 'PUT',
          headers: { 'content-type': 'text/csv' },
          body: bodies[index] ?? '',
        }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 201]);
    const { rows, snapshots } = await (await fetch(`${api.url}/iceberg/tables/fresh_${table}/${table}`)).json();
    expect(snapshots).toHaveLength(2);
    expect([[{ id: 1, a: 1 }], [{ id: 2, b: 2 }]]).toContainEqual(rows);
  });

  test('a request that is repeated under its key is answered with what it did', async () => {
    const table = uniqueName('once').replaceAll('-', '_');
    await send('PUT', table, 'id\n1\n');
    const key = { 'idempotency-key': 'the-second-row' };
    const first = await send('POST', table, 'id\n2\n', key);
    const again = await send('POST', table, 'id\n2\n', key);
    expect(again.body.snapshot_id).toBe(first.body.snapshot_id);
    expect((await get(table)).body.row_count).toBe(2);
  });
});

test('200,000 rows are written while the bridge is killed: all of them once, or none', async () => {
  const table = uniqueName('many').replaceAll('-', '_');
  await send('PUT', table, 'id,at,value,name\n0,2025-11-03T00:00:00,0.5,first\n');
  const lines = Array.from(
    { length: 200_000 },
    (_, index) => `${index + 1},2025-11-03T00:00:${String(index % 60).padStart(2, '0')},${index / 7},name ${index}`,
  );
  const body = `id,at,value,name\n${lines.join('\n')}\n`;
  // Nothing is committed until this is over, so that the bridge is at it when it is killed.
  const holder = await features.database.pool.connect();
  onTestFinished(() => holder.release(true));
  await holder.query('BEGIN; LOCK TABLE iceberg_catalog.iceberg_tables IN SHARE MODE');
  const writing = send('POST', table, body);
  writing.catch(() => {}); // told below
  await poll(
    () => dataFiles(table),
    (files) => files.length === 2,
  );
  const { pid = 0 } = features.bridge;
  process.kill(pid, 'SIGKILL');
  await holder.query('ROLLBACK');
  const answer = await writing;
  expect(features.bridge.pid).not.toBe(pid);
  expect(answer).toMatchObject({ status: 200, body: { added_rows: 200_000, total_rows: 200_001 } });
  expect((await get(table)).body).toMatchObject({ row_count: 200_001, snapshots: [{}, {}] });
  const { pid: next = 0 } = features.bridge;
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${next}/status`, 'utf8'))?.[1]) / 1024;
  console.info(
    `the bridge's peak of memory while it wrote 200,000 rows of ${(body.length / 2 ** 20).toFixed(0)} MiB: ${peak.toFixed(0)} MiB`,
  );
  expect(peak).toBeLessThan(700);
});

test('GraphQL lists tables in pages, each with its columns, snapshots and rows', async () => {
  const tables = ['graph_a', 'graph_b', 'graph_c'];
  for (const table of tables) await send('PUT', table, `id\n${table.length}\n`);
  const names: string[] = [];
  for (let after: string | null = null; ; ) {
    const { body } = await post(
      api.url,
      `query ($after: String) { icebergTables(first: 2, after: $after) {
        nodes: edges { node { schema name rowCount columns { name type } snapshots { id addedRows } preview(rows: 1) } }
        pageInfo { hasNextPage endCursor } } }`,
      { after },
    );
    const { nodes, pageInfo } = body.data.icebergTables;
    names.push(...nodes.map(({ node }: { node: { name: string } }) => node.name));
    const found = nodes.find(({ node }: { node: { name: string } }) => node.name === 'graph_b');
    if (found !== undefined) {
      expect(found.node).toEqual({
        schema: 'gold',
        name: 'graph_b',
        rowCount: 1,
        columns: [{ name: 'id', type: 'long' }],
        snapshots: [{ id: expect.stringMatching(/^\d+$/), addedRows: 1 }],
        preview: [{ id: 7 }],
      });
    }
    after = pageInfo.endCursor;
    if (!pageInfo.hasNextPage) break;
  }
  expect(names).toEqual(expect.arrayContaining(tables));
  expect(new Set(names).size).toBe(names.length);
  const { body } = await post(
    api.url,
    `{ there: icebergTable(schema: "gold", name: "graph_a") { currentSnapshotId }
       absent: icebergTable(schema: "gold", name: "graph_x") { name }
       odd: icebergTable(schema: "", name: "\\u0000") { name } }`,
  );
  expect(body.data).toMatchObject({ there: { currentSnapshotId: expect.any(String) }, absent: null, odd: null });
});

const written = z.object({ snapshot_id: z.string(), total_rows: z.int() });

/** What lies where uploads do. */
async function uploads(): Promise<string[]> {
  return readdir(api.uploads).catch(() => []);
}

/** Whole paths. */
async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((each) => each.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

async function dataFiles(table: string): Promise<string[]> {
  return readdir(join(features.folder, 'warehouse', 'gold', table, 'data'));
}
