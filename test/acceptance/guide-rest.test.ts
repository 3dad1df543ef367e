import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { poll } from '../support/poll.ts';

/** The first job of a fresh clone also waits for the environment to be built. */
const END_LIMIT_MS = 220_000;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/;
const MODEL = 'rest_churn';
const EXAMPLE = join(import.meta.dirname, '../../examples/churn');

const { url, mlflowUrl, python } = inject('platform');

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
  readonly body: any;
}

async function call(method: string, path: string, body?: unknown): Promise<Answer> {
  const content =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const answer = await fetch(`${url}${path}`, { method, ...content });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

const upload = {
  script_name: 'hello.py',
  script_content: 'print("hello")\n',
  experiment_name: 'rest',
  model_name: 'rest',
};

async function submit(changes: object): Promise<string> {
  const { status, body } = await call('POST', '/mlops/training/upload', { ...upload, ...changes });
  expect(status, JSON.stringify(body)).toBe(202);
  return body.job_id;
}

/** Polls a job until it is as wished. */
async function jobWhen(id: string, isWished: (job: Answer['body']) => boolean): Promise<Answer['body']> {
  return poll(async () => (await call('GET', `/mlops/training/jobs/${id}`)).body, isWished, END_LIMIT_MS);
}

const hasEnded = (job: Answer['body']) => job.status === 'completed' || job.status === 'failed';

describe('the platform', () => {
  test('GET /mlops/status has the fields of the guide', async () => {
    // On a busy machine a part may be late to answer, which is told.
    const { status, body } = await poll(
      () => call('GET', '/mlops/status'),
      ({ body }) => body.mlflow_available && body.feast_store_available,
    );
    expect(status).toBe(200);
    // What other tests have had loaded is listed beside them.
    const { served_models: _, ...ofGuide } = body;
    expect(ofGuide).toEqual({
      mlflow_tracking_uri: expect.stringMatching(/^http:/),
      mlflow_available: true,
      feast_store_available: true,
      registered_models: expect.any(Number),
      active_experiments: expect.any(Number),
      feature_views: expect.any(Number),
      timestamp: expect.stringMatching(TIME),
    });
    expect(new URL(body.mlflow_tracking_uri).port).toBe(new URL(mlflowUrl).port);
  });

  test('it is alive and ready', async () => {
    expect(await call('GET', '/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } });
    // That a part was late to answer is told here too, of one that jobs run without as a trouble.
    const readiness = await poll(
      () => call('GET', '/readyz'),
      ({ body }) => body.ready && body.troubles === undefined,
    );
    expect(readiness).toMatchObject({ status: 200, body: { ready: true, not_ready: [] } });
    expect(Object.keys(readiness.body)).toEqual(['ready', 'not_ready']);
  });

  test('an unknown path is a 404', async () => {
    expect(await call('GET', '/mlops/nothing')).toMatchObject({ status: 404, body: { detail: 'Not Found' } });
  });

  test.each([
    ['POST', '/mlops/status', 'GET, HEAD'],
    ['GET', '/mlops/training/upload', 'POST'],
    ['DELETE', '/mlops/training/jobs/abc', 'GET, HEAD'],
    ['GET', '/mlops/training/jobs/abc/cancel', 'POST'],
    ['POST', '/mlops/models', 'GET, HEAD'],
    ['POST', '/mlops/models/churn', 'GET, HEAD, PATCH, DELETE'],
    ['GET', '/mlops/registry', 'POST'],
    ['POST', '/mlops/training/jobs', 'GET, HEAD'],
    ['GET', '/mlops/inference', 'POST'],
    ['DELETE', '/feast/features', 'GET, HEAD, POST'],
    ['POST', '/feast/features/customer_features', 'GET, HEAD, DELETE'],
    ['GET', '/feast/features/service', 'POST'],
  ])('%s %s is a 405 that names what is allowed', async (method, path, allowed) => {
    const answer = await call(method, path);
    expect(answer).toMatchObject({ status: 405, body: { detail: 'Method Not Allowed' } });
    expect(answer.headers.get('allow')).toBe(allowed);
  });
});

describe('an upload', { timeout: END_LIMIT_MS + 20_000 }, () => {
  test('is answered at once with the job, queued, and the job runs to its end', async () => {
    const script = Buffer.from('print("hello from base64 ✅")\n').toString('base64');
    const { status, body } = await call('POST', '/mlops/training/upload', { ...upload, script_content: script });
    expect(status).toBe(202);
    expect(body).toEqual({
      job_id: expect.any(String),
      script_name: 'hello.py',
      experiment_name: 'rest',
      model_name: 'rest',
      status: 'queued',
      run_id: null,
      model_version: null,
      error: null,
      created_at: expect.stringMatching(TIME),
      started_at: null,
      completed_at: null,
    });
    expect(await jobWhen(body.job_id, hasEnded)).toEqual({
      ...body,
      status: 'completed',
      started_at: expect.stringMatching(TIME),
      completed_at: expect.stringMatching(TIME),
      elapsed_seconds: expect.any(Number),
      duration_seconds: expect.any(Number),
      logs: expect.stringContaining('hello from base64 ✅\n'),
    });
  });

  test('may hold the script as plain text, and its variables reach the script as they are', async () => {
    const odd = `'"\`$HOME \\ \n\t é✅ '''\n""" #{x} %s`;
    const script_content = 'import os, json\nprint(json.dumps(os.environ["ODD"]))\n';
    const id = await submit({ script_content, environment_vars: { ODD: odd }, timeout: '120' });
    const { logs } = await jobWhen(id, hasEnded);
    const line = logs.split('\n').find((text: string) => text.startsWith('"')) ?? 'null';
    expect(JSON.parse(line)).toBe(odd);
  });

  test('of a script that fails ends as failed, with the reason, the traceback and a hint', async () => {
    const job = await jobWhen(await submit({ script_content: 'open("train.csv")' }), hasEnded);
    expect(job).toMatchObject({ status: 'failed', run_id: null, model_version: null });
    const reason = "FileNotFoundError: [Errno 2] No such file or directory: 'train.csv'";
    expect(job.error).toBe(`the script ended with exit code 1: ${reason}`);
    expect(job.logs).toContain(`\n${reason}\n`);
    expect(job.logs).toMatch(/\nHint: .*; files for scripts belong in \/.*\/data\b/);
  });

  test.each([
    ['script_name', undefined, 'missing'],
    ['script_name', '../x.py', 'string_pattern_mismatch'],
    ['script_content', '', 'value_error'],
    ['script_content', 'print("\0")', 'value_error'],
    ['script_content', Buffer.alloc(18, 0xff).toString('base64'), 'value_error'],
    ['experiment_name', '', 'string_too_short'],
    ['model_name', 'a/b', 'string_pattern_mismatch'],
    ['model_name', 5, 'string_type'],
    ['requirements', 'pandas', 'list_type'],
    ['environment_vars', 'A=1', 'dict_type'],
    ['timeout', 59, 'greater_than_equal'],
    ['timeout', 3601, 'less_than_equal'],
    ['timeout', 'soon', 'int_type'],
    ['tags', [], 'dict_type'],
  ])('with %s %j is refused and stores no job', async (field, value, type) => {
    const { status, body } = await call('POST', '/mlops/training/upload', { ...upload, [field]: value });
    expect(status).toBe(422);
    expect(body).toEqual({
      detail: [{ loc: ['body', field], msg: expect.any(String), type }],
      request_id: expect.any(String),
    });
  });

  test('with a bad requirement or variable is refused at its place', async () => {
    const changes = { requirements: ['pandas', '--index-url=x'], environment_vars: { PATH: '/x', OK: 1 } };
    const { status, body } = await call('POST', '/mlops/training/upload', { ...upload, ...changes });
    expect(status).toBe(422);
    const places = body.detail.map(({ loc }: { loc: unknown[] }) => loc.slice(1).join('.'));
    expect(places.toSorted()).toEqual(['environment_vars.OK', 'environment_vars.PATH', 'requirements.1']);
  });

  test.each([
    ['a key given twice', Buffer.from('{"script_name": "a.py", "tags": {"a": "1", "a": "2"}}'), ['tags', 'a']],
    ['bytes that are no UTF-8', Buffer.from('{"script_name": "\xff"}', 'latin1'), []],
    ['lists in lists without end', Buffer.from(`{"tags": ${'['.repeat(500_000)}${']'.repeat(500_000)}}`), []],
    ['a number beyond all', Buffer.from('{"timeout": 1e999}'), ['timeout']],
  ])('with %s is refused', async (_what, body, place) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/mlops/training/upload`, { method: 'POST', body, headers });
    expect(answer.status).toBe(422);
    const { detail } = await answer.json();
    expect(detail).toContainEqual({ loc: ['body', ...place], msg: expect.any(String), type: expect.any(String) });
  });

  test('that is not JSON, or not said to be, is refused', async () => {
    const send = (body: string, type: string) =>
      fetch(`${url}/mlops/training/upload`, { method: 'POST', body, headers: { 'content-type': type } });
    const broken = await send('{"script_name" 1}', 'application/json');
    expect(broken.status).toBe(422);
    expect(await broken.json()).toMatchObject({ detail: [{ loc: ['body', 15], type: 'json_invalid' }] });
    expect((await send(JSON.stringify(upload), 'text/plain')).status).toBe(415);
    const empty = await fetch(`${url}/mlops/training/upload`, { method: 'POST' });
    expect(empty.status).toBe(422);
    expect(await empty.json()).toMatchObject({ detail: [{ loc: ['body'], type: 'missing' }] });
  });
});

describe('a job', { timeout: END_LIMIT_MS + 20_000 }, () => {
  test.each(['0000000000000000', 'no%20such', '%00', 'x'.repeat(90)])(
    'that does not exist (%s) is a 404',
    async (id) => {
      const unknown = { status: 404, body: { detail: expect.stringContaining('there is no job') } };
      expect(await call('GET', `/mlops/training/jobs/${id}`)).toMatchObject(unknown);
      expect(await call('POST', `/mlops/training/jobs/${id}/cancel`)).toMatchObject(unknown);
    },
  );

  test('shows its log while it runs, and cancelled, ends as failed with the word', async () => {
    const script_content = 'import time\nprint("waiting", flush=True)\ntime.sleep(600)\n';
    const id = await submit({ script_content });
    const running = await jobWhen(id, (job) => job.logs.includes('waiting\n'));
    expect(running).toMatchObject({ status: 'running', completed_at: null, duration_seconds: null });

    expect(await call('POST', `/mlops/training/jobs/${id}/cancel`)).toMatchObject({
      status: 200,
      body: { job_id: id },
    });
    const ended = await jobWhen(id, hasEnded);
    expect(ended).toMatchObject({ status: 'failed', error: expect.stringMatching(/^CANCELLED/) });

    const again = await call('POST', `/mlops/training/jobs/${id}/cancel`);
    expect(again).toMatchObject({ status: 200, body: { status: 'failed' } });
  });

  test('that has ended cannot be cancelled', async () => {
    const id = await submit({});
    await jobWhen(id, hasEnded);
    const answer = await call('POST', `/mlops/training/jobs/${id}/cancel`);
    expect(answer).toMatchObject({ status: 409, body: { detail: expect.stringContaining(id) } });
  });
});

describe('the list of jobs', { timeout: END_LIMIT_MS + 20_000 }, () => {
  test('has the newest first, page by page, and can be of one status', async () => {
    const ids = [await submit({}), await submit({}), await submit({})];
    for (const id of ids) await jobWhen(id, hasEnded);
    const read: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${cursor}`;
      const { status, body } = await call('GET', `/mlops/training/jobs?limit=1&status=completed${query}`);
      expect(status).toBe(200);
      expect(body.jobs).toHaveLength(1);
      expect(body.jobs[0]).toMatchObject({ status: 'completed', created_at: expect.stringMatching(TIME) });
      expect(Object.keys(body.jobs[0])).not.toContain('logs');
      read.push(body.jobs[0].job_id);
      cursor = body.next_cursor;
    } while (cursor !== null && !ids.every((id) => read.includes(id)));
    expect(read.filter((id) => ids.includes(id))).toEqual(ids.toReversed());
  });

  test.each([
    ['limit=0', 'limit', 'greater_than_equal'],
    ['limit=101', 'limit', 'less_than_equal'],
    ['limit=', 'limit', 'int_type'],
    ['limit=1e1', 'limit', 'int_type'],
    ['limit=1&limit=2', 'limit', 'int_type'],
    ['status=cancelled', 'status', 'enum'],
    ['status=', 'status', 'enum'],
    ['cursor=abc', 'cursor', 'string_pattern_mismatch'],
    ['cursor=%00', 'cursor', 'string_pattern_mismatch'],
    ['cursor=99999999999999-0123456789abcdef', 'cursor', 'string_pattern_mismatch'],
  ])('with %s is a 422 that names the parameter', async (query, field, type) => {
    expect(await call('GET', `/mlops/training/jobs?${query}`)).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['query', field], msg: expect.any(String), type }] },
    });
  });

  test('takes no notice of other parameters, and an end beyond the last job is empty', async () => {
    expect(await call('GET', '/mlops/training/jobs?limit=1&offset=5')).toMatchObject({ status: 200 });
    expect(await call('GET', '/mlops/training/jobs?cursor=0000000000000-0123456789abcdef')).toMatchObject({
      status: 200,
      body: { jobs: [], next_cursor: null },
    });
  });
});

describe('the churn example', () => {
  const inputs = {
    support_tickets_count: [9, 0],
    days_since_last_purchase: [170, 3],
    total_purchases: [2, 50],
    customer_lifetime_value: [120.5, 2300],
    account_age_days: [400, 900],
    avg_purchase_value: [40.25, 60],
  };
  let folder: string;
  let job: Answer['body'];

  const infer = (changes: object = {}) => call('POST', '/mlops/inference', { model_name: MODEL, inputs, ...changes });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'asgard-rest-'));
    await chmod(folder, 0o755); // jobs read the data
    const file = join(folder, 'customers.csv');
    await promisify(execFile)(python, [join(EXAMPLE, 'make_data.py'), file]);
    const id = await submit({
      script_name: 'train.py',
      script_content: await readFile(join(EXAMPLE, 'train_from_csv.py'), 'utf8'),
      experiment_name: 'rest_churn',
      model_name: MODEL,
      environment_vars: { DATA_PATH: file },
    });
    job = await jobWhen(id, hasEnded);
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('becomes a version of its model', () => {
    expect(job).toMatchObject({
      status: 'completed',
      run_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      model_version: '1',
      error: null,
    });
    expect(job.logs).toContain('✓ Model artifact saved to MLflow (model/model.pkl)\n');
    expect(job.logs.trimEnd().split('\n').at(-1)).toBe('✅ Training completed successfully!');
  });

  test('is listed with its version and run', async () => {
    const { status, body } = await call('GET', '/mlops/models');
    expect(status).toBe(200);
    expect(body.find(({ name }: { name: string }) => name === MODEL)).toEqual({
      name: MODEL,
      description: null,
      tags: expect.any(Object),
      latest_versions: [
        {
          name: MODEL,
          version: '1',
          stage: 'None',
          run_id: job.run_id,
          description: null,
          tags: expect.any(Object),
          created_at: expect.stringMatching(TIME),
          updated_at: expect.stringMatching(TIME),
          servable: true,
          refusal: null,
          warning: null,
          load_seconds: expect.any(Number),
          predict_p50_ms: expect.any(Number),
          peak_memory_bytes: expect.any(Number),
          tried_with: 'training_rows',
          traceback: null,
          engine: expect.stringMatching(/^(python|onnx)$/),
          compilation: expect.objectContaining({
            status: expect.stringMatching(/^(pending|compiled)$/),
            refusal: null,
          }),
        },
      ],
      created_at: expect.stringMatching(TIME),
      updated_at: expect.stringMatching(TIME),
    });
  });

  test('is shown by its name alone', async () => {
    const listed = (await call('GET', '/mlops/models')).body.find(({ name }: { name: string }) => name === MODEL);
    expect(await call('GET', `/mlops/models/${MODEL}`)).toMatchObject({ status: 200, body: listed });
  });

  test.each(['rest_chur', 'a%2Fb', '%00', '%E2%9C%85%20%3F', 'x'.repeat(3000), '%F0%9F%A4%96'.repeat(250)])(
    'another name (%s) is a 404',
    async (name) => {
      expect(await call('GET', `/mlops/models/${name}`)).toMatchObject({
        status: 404,
        body: { detail: expect.stringContaining('there is no model'), request_id: expect.any(String) },
      });
    },
  );

  test('its model is registered under any other name, and a repeated request is answered the same', async () => {
    const name = 'it\'s 50% ünï ✅ #1 & "co" \\ +';
    const request = { model_name: name, run_id: job.run_id, description: 'Bästes', tags: { team: 'data-science' } };
    const made = await call('POST', '/mlops/registry', request);
    expect(made).toMatchObject({
      status: 201,
      body: {
        model_name: name,
        version: '1',
        run_id: job.run_id,
        status: 'READY',
        created_at: expect.stringMatching(TIME),
      },
    });
    expect(await call('POST', '/mlops/registry', request)).toMatchObject({ status: 201, body: made.body });
    const other = { ...request, description: null, tags: null, unknown: 1 };
    expect(await call('POST', '/mlops/registry', other)).toMatchObject({ status: 201, body: { version: '2' } });
    expect(await call('GET', `/mlops/models/${encodeURIComponent(name)}`)).toMatchObject({
      status: 200,
      body: { name, latest_versions: [{ name, version: '2', run_id: job.run_id }] },
    });
    expect(await infer({ model_name: name })).toMatchObject({ status: 200, body: { predictions: [1, 0] } });
  });

  test.each([
    [404, { run_id: '0'.repeat(32) }, undefined],
    [422, { run_id: '../x' }, ['run_id']],
    [422, { run_id: undefined }, ['run_id']],
    [422, { model_name: 'a/b' }, ['model_name']],
    [422, { model_name: 'a\0' }, ['model_name']],
    [422, { description: 'a\ud800' }, ['description']],
    [422, { description: 5 }, ['description']],
    [422, { tags: { 'a?': 'x' } }, ['tags', 'a?']],
    [422, { tags: { a: 1 } }, ['tags', 'a']],
    [422, { tags: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`t${index}`, ''])) }, ['tags']],
  ])('a registration is refused by %i with %j', async (status, changes, place) => {
    const request = { model_name: 'rest_refused', run_id: job.run_id, ...changes };
    const answer = await call('POST', '/mlops/registry', request);
    expect(answer).toMatchObject({
      status,
      body: { detail: place === undefined ? expect.stringContaining('run_id') : [{ loc: ['body', ...place] }] },
    });
    expect(await call('GET', '/mlops/models/rest_refused')).toMatchObject({ status: 404 });
  });

  test('predicts a value for each row, without probabilities unless they are asked for', async () => {
    expect(await infer()).toMatchObject({
      status: 200,
      body: {
        model_name: MODEL,
        model_version: '1',
        predictions: [1, 0],
        probabilities: null,
        inference_time_ms: expect.any(Number),
        timestamp: expect.stringMatching(TIME),
      },
    });
  });

  test('refuses a number that would not reach the model as it is', async () => {
    const body = JSON.stringify({ model_name: MODEL, inputs }).replace('120.5', '1e999');
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/mlops/inference`, { method: 'POST', body, headers });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ detail: [{ loc: ['body', 'inputs', 'customer_lifetime_value', 0] }] });
  });

  test('gives each row its probabilities, which sum to 1', async () => {
    const { body } = await infer({ return_probabilities: true });
    expect(body.probabilities).toHaveLength(2);
    for (const row of body.probabilities) {
      expect(row).toHaveLength(2);
      expect(row[0] + row[1]).toBeCloseTo(1);
    }
  });

  test.each([1, '1', 'latest', null])('answers as version %j', async (model_version) => {
    expect(await infer({ model_version })).toMatchObject({ status: 200, body: { model_version: '1' } });
  });

  test.each([
    ['another model', { model_name: 'no_such_model' }, 'no_such_model'],
    ['another version', { model_version: 7 }, '7'],
  ])('%s is a 404 that names it', async (_what, changes, named) => {
    expect(await infer(changes)).toMatchObject({ status: 404, body: { detail: expect.stringContaining(named) } });
  });

  const { support_tickets_count: _tickets, ...withoutTickets } = inputs;
  test.each([
    ['no model', { model_name: undefined }, ['model_name']],
    ['an empty model name', { model_name: '' }, ['model_name']],
    ['a version that is neither a number nor an alias', { model_version: 'v1' }, ['model_version']],
    ['no inputs', { inputs: undefined }, ['inputs']],
    ['inputs without a column', { inputs: {} }, ['inputs']],
    ['inputs as rows', { inputs: [[1, 2]] }, ['inputs']],
    ['a column that is no list', { inputs: { ...inputs, account_age_days: 4 } }, ['inputs', 'account_age_days']],
    ['a missing column', { inputs: withoutTickets }, ['inputs', 'support_tickets_count']],
    ['an unknown column', { inputs: { ...inputs, tickets: [1, 2] } }, ['inputs', 'tickets']],
    [
      'a text in a column of numbers',
      { inputs: { ...inputs, total_purchases: [1, 'two'] } },
      ['inputs', 'total_purchases', 1],
    ],
    ['columns of unequal lengths', { inputs: { ...inputs, total_purchases: [1] } }, ['inputs', 'total_purchases']],
    ['a NUL in the model', { model_name: 'a\0' }, ['model_name']],
    ['half a character in the model', { model_name: '\ud800' }, ['model_name']],
    ['a NUL in a column', { inputs: { ...inputs, 'a\0': [1, 2] } }, ['inputs', 'a\0']],
    ['half a character in a column', { inputs: { ...inputs, '\ud800': [1, 2] } }, ['inputs', '\ud800']],
    [
      'half a character in a value',
      { inputs: { ...inputs, total_purchases: ['\ud800', 1] } },
      ['inputs', 'total_purchases', 0],
    ],
    ['a word for a truth value', { return_probabilities: 'perhaps' }, ['return_probabilities']],
  ])('%s is a 422 that names the field', async (_what, changes, place) => {
    const { status, body } = await infer(changes);
    expect(status).toBe(422);
    expect(body.detail[0]).toEqual({ loc: ['body', ...place], msg: expect.any(String), type: expect.any(String) });
  });
});
