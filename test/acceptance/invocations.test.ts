import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { quietPort } from '../support/quiet-port.ts';
import { FOREST_SCRIPT, MIXED_COLUMNS_SCRIPT, TWO_OUTPUTS_SCRIPT } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url, mlflowUrl, python } = inject('platform');
const jobs = new JobsForTests();
const mixed = uniqueName('mixed');
const forest = uniqueName('forest');
const twice = uniqueName('two-outputs');
let stopServer: () => Promise<void> = async () => {};
let scoringServer = '';

beforeAll(async () => {
  const ended = await Promise.all([
    jobs.run(MIXED_COLUMNS_SCRIPT, { modelName: mixed }),
    jobs.run(FOREST_SCRIPT, { modelName: forest }),
    jobs.run(TWO_OUTPUTS_SCRIPT, { modelName: twice }),
  ]);
  expect(ended.map(({ job }) => [job.status, job.modelVersion?.version])).toEqual(ended.map(() => ['COMPLETED', '1']));
  await jobs.client.registry.setAlias(mixed, 'champion', '1');
  const port = await quietPort();
  const words = ['models', 'serve', '-m', `models:/${mixed}/1`, '-p', String(port), '--env-manager', 'local'];
  const server = spawn(python, ['-m', 'mlflow', ...words, '--workers', '1'], {
    env: { ...process.env, PATH: `${dirname(python)}:${process.env['PATH']}`, MLFLOW_TRACKING_URI: mlflowUrl },
    detached: true,
    stdio: 'ignore',
  });
  const exit = once(server, 'exit');
  stopServer = async () => {
    if (server.pid !== undefined && server.exitCode === null) process.kill(-server.pid, 'SIGKILL');
    await exit;
  };
  scoringServer = `http://127.0.0.1:${port}`;
  const isUp = () =>
    fetch(`${scoringServer}/ping`).then(
      ({ ok }) => ok,
      () => false,
    );
  await poll(isUp, (up) => up, 120_000);
}, JOB_LIMIT_MS + 120_000);

afterAll(async () => {
  await stopServer();
  await jobs[Symbol.asyncDispose]();
});

const JSON_TYPE = 'application/json';

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function post(address: string, body: string, type: string): Promise<{ status: number; body: any }> {
  const answer = await fetch(address, { method: 'POST', headers: { 'content-type': type }, body });
  const text = await answer.text();
  const isJson = answer.headers.get('content-type')?.startsWith(JSON_TYPE) === true;
  return { status: answer.status, body: isJson ? JSON.parse(text) : text };
}

/** What ours says, and what `mlflow models serve` does of the same. */
async function both(body: unknown, type = JSON_TYPE) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const [ours, theirs] = await Promise.all([
    post(`${url}/mlops/models/${mixed}/invocations`, text, type),
    post(`${scoringServer}/invocations`, text, type),
  ]);
  return { ours, theirs };
}

const columns = ['age', 'visits', 'city'];
const data = [
  [22.5, 1, 'Köln'],
  [66, 9, 'Bonn'],
  [41, 3, 'Köln'],
];
const records = data.map(([age, visits, city]) => ({ age, visits, city }));
const byColumn = {
  age: data.map(([age]) => age),
  visits: data.map(([, visits]) => visits),
  city: data.map((row) => row[2]),
};
const csv = `${[columns, ...data].map((row) => row.join(',')).join('\n')}\n`;

describe('a body that MLflow takes is answered as by `mlflow models serve`', () => {
  test.each<[string, unknown, string?]>([
    ['dataframe_split', { dataframe_split: { columns, data } }],
    ['dataframe_split with an index', { dataframe_split: { columns, data, index: [5, 6, 7] } }],
    [
      'dataframe_split in another order, with a column too many',
      {
        dataframe_split: { columns: ['extra', 'city', 'age', 'visits'], data: data.map(([a, b, c]) => ['x', c, a, b]) },
      },
    ],
    ['dataframe_records', { dataframe_records: records }],
    ['dataframe_records, of which one has more', { dataframe_records: [...records, { ...records[0], extra: 1 }] }],
    ['inputs by column', { inputs: byColumn }],
    ['inputs by row', { inputs: records }],
    ['instances', { instances: records }],
    ['one row', { dataframe_records: records.slice(0, 1) }],
    [
      'numbers as texts',
      {
        dataframe_split: {
          columns,
          data: [
            ['22.5', '1', 'Köln'],
            ['66', '9', 'Bonn'],
          ],
        },
      },
    ],
    [
      'a whole number for another',
      {
        dataframe_split: {
          columns,
          data: [
            [22, 1.0, 'Köln'],
            [66, 9.0, 'Bonn'],
          ],
        },
      },
    ],
    [
      'null for a number',
      {
        dataframe_split: {
          columns,
          data: [
            [null, 1, 'Köln'],
            [66, 9, 'Bonn'],
          ],
        },
      },
    ],
    [
      'NaN for a number',
      '{"dataframe_split": {"columns": ["age", "visits", "city"], "data": [[NaN, 1, "NaN"], [66, 9, "Bonn"]]}}',
    ],
    ['empty params', { dataframe_records: records, params: {} }],
    ['an unknown field beside', { dataframe_records: records, other: 1 }],
    ['CSV', csv, 'text/csv'],
    ['CSV with quotes', 'age,visits,city\r\n22.5,1,"Kö,ln"\r\n66,9,"Bo""nn"\r\n', 'text/csv; charset=utf-8'],
    ['CSV with an empty number', 'age,visits,city\n,1,Köln\n66,9,Bonn\n', 'text/csv'],
    ['a charset', { dataframe_records: records }, 'application/json; charset=utf-8'],
  ])('%s', async (_what, body, type) => {
    const { ours, theirs } = await both(body, type);
    expect(theirs.status, JSON.stringify(theirs.body)).toBe(200);
    expect(ours).toEqual(theirs);
  });
});

describe('a body that MLflow does not take is refused with the same status', () => {
  const row = [22.5, 1, 'Köln'];
  test.each<[string, unknown, RegExp, string?]>([
    ['no JSON', '{"dataframe_split": ', /JSON/],
    ['an empty body', ' ', /exactly one of|Field required|dictionary/],
    ['a list', [1, 2], /dictionary/],
    ['none of the fields', { data: [row] }, /exactly one of dataframe_split, dataframe_records, instances, inputs/],
    ['two of the fields', { inputs: byColumn, instances: records }, /and has instances and inputs/],
    ['dataframe_split that is a list', { dataframe_split: [row] }, /^dataframe_split: /],
    ['dataframe_split without data', { dataframe_split: { columns } }, /^dataframe_split\.data: /],
    ['dataframe_split with more', { dataframe_split: { columns, data, names: 1 } }, /^dataframe_split: .*names/],
    [
      'too many columns for the rows',
      { dataframe_split: { columns: [...columns, 'x'], data } },
      /^dataframe_split\.columns: has 4 names, but the rows have 3/,
    ],
    ['an index of another length', { dataframe_split: { columns, data, index: [1] } }, /^dataframe_split\.index: /],
    [
      'rows without names',
      { dataframe_split: { data } },
      /^dataframe_split: .* takes columns by name: age, visits, city/,
    ],
    ['dataframe_records that is an object', { dataframe_records: byColumn }, /^dataframe_records: /],
    ['a missing column', { dataframe_split: { columns: ['age', 'city'], data: [[1, 'Köln']] } }, /visits/],
    [
      'a column name in another case',
      { dataframe_records: [{ Age: 1, visits: 1, city: 'Köln' }] },
      /^dataframe_records.*age/,
    ],
    [
      'a text for a number',
      { dataframe_records: [{ age: 'old', visits: 1, city: 'Köln' }] },
      /^dataframe_records\.age\.0: .*'old'/,
    ],
    [
      'null for a whole number',
      { dataframe_records: [{ age: 1, visits: null, city: 'Köln' }] },
      /^dataframe_records\.visits\.0: /,
    ],
    ['lists of another length', { inputs: { ...byColumn, age: [1] } }, /^inputs\.visits: .*|^inputs\.age: /],
    ['rows of lists', { instances: data }, /^instances: .*by name/],
    ['no rows', { dataframe_split: { columns, data: [] } }, /^dataframe_split/],
    ['CSV without a column', 'age,visits\n1,2\n', /^csv\.city: /, 'text/csv'],
    ['CSV with a text for a number', 'age,visits,city\nold,1,Köln\n', /^csv\.age\.0: /, 'text/csv'],
    ['CSV with a field too many', 'age,visits,city\n1,1,Köln,2\n1,1,Köln\n', /^csv/, 'text/csv'],
  ])('%s', async (_what, body, message, type) => {
    const { ours, theirs } = await both(body, type);
    expect([ours.status, Math.floor(theirs.status / 100)], JSON.stringify([ours.body, theirs.body])).toEqual([400, 4]);
    expect(ours.body).toEqual({ error_code: 'BAD_REQUEST', message: expect.stringMatching(message) });
  });

  test.each(['text/plain', 'application/json; format=pandas-split', 'application/json; charset=latin-1'])(
    'the content type %s',
    async (type) => {
      const { ours, theirs } = await both({ dataframe_records: records }, type);
      expect([ours.status, theirs.status]).toEqual([415, 415]);
      expect(ours.body.message).toMatch(/application\/json or text\/csv/);
    },
  );
});

describe('where ours is stricter', () => {
  test('a fraction for a whole number is refused, which MLflow cuts', async () => {
    const { ours, theirs } = await both({ dataframe_records: [{ age: 1, visits: 2.7, city: 'Köln' }] });
    expect(theirs.status).toBe(200);
    expect(ours).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(/^dataframe_records\.visits\.0: /) },
    });
  });

  test('params are refused, which MLflow ignores for a model that declares none', async () => {
    const { ours, theirs } = await both({ dataframe_records: records, params: { temperature: 1 } });
    expect(theirs.status).toBe(200);
    expect(ours).toMatchObject({ status: 400, body: { message: expect.stringMatching(/^params\.temperature: /) } });
  });
});

test('an answer says in its headers what gave it and where its time went; a body beyond the limit is refused with that', async () => {
  const ask = (body: string) =>
    fetch(`${url}/mlops/models/${mixed}/invocations`, { method: 'POST', headers: { 'content-type': JSON_TYPE }, body });
  const { version, runId, job } = await jobs.client.modelVersion(mixed, '1');
  const timing = (phases: string[]) =>
    expect.stringMatching(new RegExp(`^${phases.map((phase) => `${phase};dur=[0-9.]+`).join(', ')}$`));
  const headers = {
    'x-asgard-model-version': version,
    'x-asgard-run-id': runId,
    'x-asgard-job-id': job?.id,
    'x-asgard-environment': expect.stringMatching(/^[0-9a-f]{16,}$/),
    'x-asgard-engine': expect.stringMatching(/^(python|onnx)$/),
    'server-timing': timing(['parse', 'queue', 'predict', 'serialize']),
  };
  const answered = await ask(JSON.stringify({ dataframe_records: records }));
  expect(answered.status).toBe(200);
  expect(Object.fromEntries(answered.headers)).toMatchObject(headers);
  const refused = await ask(JSON.stringify({ dataframe_records: [{ age: 'old' }] }));
  expect(refused.status).toBe(400);
  expect(Object.fromEntries(refused.headers)).toMatchObject({ 'x-asgard-model-version': version });

  const large = await ask(JSON.stringify({ dataframe_records: records }) + ' '.repeat(16 * 2 ** 20));
  expect(large.status).toBe(413);
  expect(await large.json()).toMatchObject({
    error_code: expect.any(String),
    message: expect.stringMatching(/larger than 16777216 bytes.*ASGARD_REQUEST_LIMIT/),
  });
});

describe('any model and version', () => {
  const invoke = (path: string, body: object) =>
    post(`${url}/mlops/models/${path}/invocations`, JSON.stringify(body), JSON_TYPE);

  test.each(['', '/versions/1', '/versions/latest', '/versions/champion', '@champion'])(
    'is named as everywhere: %s',
    async (version) => {
      const named = await invoke(`${mixed}${version}`, { dataframe_records: records });
      expect(named).toEqual(await invoke(mixed, { dataframe_split: { columns, data } }));
      expect(named.status).toBe(200);
      const ping = await fetch(`${url}/mlops/models/${mixed}${version}/ping`);
      const theirs = await fetch(`${scoringServer}/ping`);
      expect([ping.status, await ping.json()]).toEqual([theirs.status, {}]);
    },
  );

  test("takes what the guide's pickle knows, its names alone", async () => {
    const body = {
      dataframe_split: {
        columns: ['visits', 'age'],
        data: [
          [1, 20],
          [2, 59],
        ],
      },
    };
    expect(await invoke(forest, body)).toEqual({ status: 200, body: { predictions: [0, 1] } });
  });

  test('gives an object a row of a model with several outputs', async () => {
    const predictions = [
      { total: 3, grade: 'löw' },
      { total: 40, grade: 'high' },
    ];
    expect(await invoke(twice, { inputs: { x: [1.5, 20] } })).toEqual({ status: 200, body: { predictions } });
    // One column needs no name.
    expect(await invoke(twice, { instances: [1.5, 20] })).toEqual({ status: 200, body: { predictions } });
  });

  test('that is not there is not found', async () => {
    for (const path of ['no-such-model', `${mixed}/versions/7`, `${mixed}/versions/newest`]) {
      const answer = await invoke(path, { dataframe_records: records });
      expect(answer).toMatchObject({ status: 404, body: { error_code: 'RESOURCE_DOES_NOT_EXIST' } });
      expect((await fetch(`${url}/mlops/models/${path}/ping`)).status).toBe(404);
    }
  });
});
