import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { TOOLCHAIN } from '../support/data-folder.ts';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import {
  CLASSIFIER_SCRIPT,
  FOREST_SCRIPT,
  TEXT_COLUMNS_SCRIPT,
  TWO_OUTPUTS_SCRIPT,
} from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');
const PYTHON = join(TOOLCHAIN, 'test-python', 'bin', 'python');
const jobs = new JobsForTests();
const forest = uniqueName('forest');
const classifier = uniqueName('classifier');
const texts = uniqueName('texts');
const twice = uniqueName('two-outputs');

beforeAll(async () => {
  const ended = await Promise.all([
    jobs.run(FOREST_SCRIPT, { modelName: forest }),
    jobs.run(CLASSIFIER_SCRIPT, { modelName: classifier }),
    jobs.run(TEXT_COLUMNS_SCRIPT, { modelName: texts }),
    jobs.run(TWO_OUTPUTS_SCRIPT, { modelName: twice }),
  ]);
  expect(ended.map(({ job }) => [job.status, job.modelVersion?.version])).toEqual(ended.map(() => ['COMPLETED', '1']));
  await jobs.client.registry.setAlias(forest, 'champion', '1');
}, JOB_LIMIT_MS);
afterAll(() => jobs[Symbol.asyncDispose]());

/** What tritonclient makes of its calls, in their order. */
// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function triton(...calls: object[]): Promise<any[]> {
  const program = join(import.meta.dirname, '../fixtures/open_inference_client.py');
  const words = [program, new URL(url).host, JSON.stringify(calls)];
  const { stdout } = await promisify(execFile)(PYTHON, words, { timeout: 120_000 });
  return JSON.parse(stdout);
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function call(path: string, body?: unknown): Promise<{ status: number; body: any; headers: Headers }> {
  const answer = await fetch(`${url}${path}`, body === undefined ? {} : post(body));
  return { status: answer.status, body: await answer.json(), headers: answer.headers };
}

const post = (body: unknown) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

const people = [
  { name: 'age', datatype: 'FP64', values: [20, 59] },
  { name: 'visits', datatype: 'INT64', values: [1, 2] },
];

describe('tritonclient', { timeout: JOB_LIMIT_MS }, () => {
  test('finds the server and its models alive and ready, and those that are not there are not', async () => {
    const answers = await triton(
      { call: 'is_server_live' },
      { call: 'is_server_ready' },
      { call: 'get_server_metadata' },
      { call: 'is_model_ready', arguments: [forest] },
      { call: 'is_model_ready', arguments: [forest, '1'] },
      { call: 'is_model_ready', arguments: [forest, 'champion'] },
      { call: 'is_model_ready', arguments: ['no-such-model'] },
      { call: 'is_model_ready', arguments: [forest, '7'] },
    );
    const server = { name: 'asgard', version: expect.any(String), extensions: ['binary_tensor_data'] };
    expect(answers).toEqual([true, true, server, true, true, true, false, false]);
  });

  test('reads what models take and give', async () => {
    const [ofForest, ofClassifier, ofTexts, ofTwice] = await triton(
      ...[forest, classifier, texts, twice].map((name) => ({ call: 'get_model_metadata', arguments: [name] })),
    );
    // A pickle knows the names of its columns alone.
    const parameters = { is_datatype_known: false };
    expect(ofForest).toEqual({
      name: forest,
      versions: ['1'],
      platform: 'mlflow_pyfunc',
      inputs: ['age', 'visits'].map((name) => ({ name, datatype: 'FP64', shape: [-1], parameters })),
      outputs: [{ name: 'predictions', datatype: 'INT64', shape: [-1] }],
      parameters: { version: '1' },
    });
    expect(ofClassifier).toMatchObject({
      inputs: [
        { name: 'age', datatype: 'FP64', shape: [-1] },
        { name: 'visits', datatype: 'INT64', shape: [-1] },
      ],
      outputs: [{ name: 'predictions', datatype: 'BYTES', shape: [-1] }],
    });
    expect(ofTexts.inputs).toEqual([
      { name: 'city', datatype: 'BYTES', shape: [-1] },
      { name: 'comment', datatype: 'BYTES', shape: [-1] },
      { name: 'age', datatype: 'FP64', shape: [-1] },
    ]);
    expect(ofTwice.outputs).toEqual([
      { name: 'total', datatype: 'FP64', shape: [-1] },
      { name: 'grade', datatype: 'BYTES', shape: [-1] },
    ]);
  });

  test("is given by the guide's pickle what the platform's own API says, as JSON and in binary, by name and by order", async () => {
    const inputs = { age: [20, 59], visits: [1, 2] };
    const own = await call('/mlops/inference', { model_name: forest, inputs, return_probabilities: true });
    const table = [
      {
        name: 'rows',
        datatype: 'FP32',
        values: [
          [20, 1],
          [59, 2],
        ],
      },
    ];
    const column = people.map((each) => ({ ...each, values: each.values.map((value) => [value]) }));
    const answers = await triton(
      ...[true, false].flatMap((binary) =>
        [people, table, column].map((given) => {
          const parameters = { return_probabilities: true };
          return { call: 'infer', model: forest, version: 'champion', inputs: given, binary, id: 'x7', parameters };
        }),
      ),
    );
    expect(answers).toHaveLength(6);
    for (const answer of answers) {
      expect(answer).toEqual({
        model_name: forest,
        model_version: '1',
        id: 'x7',
        outputs: {
          // Without a list of outputs the client asks for all of them in binary form.
          predictions: { datatype: 'INT64', shape: [2], values: own.body.predictions, is_binary: true },
          probabilities: { datatype: 'FP64', shape: [2, 2], values: own.body.probabilities.flat(), is_binary: true },
        },
      });
    }
    expect(own.body.predictions).toEqual([0, 1]);
  });

  test('is given the outputs that it names, in the form that it names', async () => {
    const ask = (outputs: string[], binary: boolean) => ({ call: 'infer', model: twice, inputs: [x], binary, outputs });
    const x = { name: 'x', datatype: 'FP64', values: [1.5, 20] };
    const [both, grade, unknown] = await triton(
      ask(['total', 'grade'], true),
      ask(['grade'], false),
      ask(['grades'], true),
    );
    const total = { datatype: 'FP64', shape: [2], values: [3, 40], is_binary: true };
    const grades = { datatype: 'BYTES', shape: [2], values: ['löw', 'high'] };
    expect(both.outputs).toEqual({ total, grade: { ...grades, is_binary: true } });
    expect(grade.outputs).toEqual({ grade: { ...grades, is_binary: false } });
    expect(unknown).toEqual({
      status: '400',
      error: 'outputs.grades: the model has no such output, but "total", "grade"',
    });
  });

  test('gives texts to a model with columns of texts, in binary and as JSON', async () => {
    const inputs = [
      { name: 'city', datatype: 'BYTES', values: ['Köln', 'Bonn'] },
      { name: 'comment', datatype: 'BYTES', values: ['good ✓', ''] },
      { name: 'age', datatype: 'FP64', values: [30, 40] },
    ];
    const own = await call('/mlops/inference', {
      model_name: texts,
      inputs: Object.fromEntries(inputs.map(({ name, values }) => [name, values])),
    });
    expect(own.status, JSON.stringify(own.body)).toBe(200);
    const answers = await triton(
      ...[true, false].map((binary) => ({ call: 'infer', model: texts, inputs, binary, outputs: ['predictions'] })),
    );
    for (const [index, answer] of answers.entries()) {
      const predictions = { datatype: 'BYTES', shape: [2], values: own.body.predictions, is_binary: index === 0 };
      expect(answer.outputs).toEqual({ predictions });
    }
    expect(new Set(own.body.predictions)).toEqual(new Set(['stays', 'leaves']));
  });

  test('gives every datatype of numbers', async () => {
    const datatypes = [
      'INT8',
      'INT16',
      'INT32',
      'INT64',
      'UINT8',
      'UINT16',
      'UINT32',
      'UINT64',
      'FP16',
      'FP32',
      'FP64',
    ];
    const answers = await triton(
      ...datatypes.flatMap((datatype) =>
        [true, false].map((binary) => {
          const inputs = ['age', 'visits'].map((name, at) => ({
            name,
            datatype,
            values: at === 0 ? [20, 59] : [1, 2],
          }));
          return { call: 'infer', model: forest, inputs, binary, outputs: ['predictions'] };
        }),
      ),
    );
    expect(answers.map(({ outputs, error }) => outputs?.predictions.values ?? error)).toEqual(
      answers.map(() => [0, 1]),
    );
  });

  test('is told what is wrong, by the name of the tensor', async () => {
    const ask = (model: string, inputs: object[], more = {}) => ({
      call: 'infer',
      model,
      inputs,
      binary: true,
      ...more,
    });
    const [age, visits] = people;
    const answers = await triton(
      ask('no-such-model', people),
      ask(forest, people, { version: '7' }),
      ask(forest, people, { version: 'v1' }),
      ask(forest, [age ?? {}]),
      ask(forest, [...people, { name: 'extra', datatype: 'FP64', values: [1, 2] }]),
      ask(forest, [age ?? {}, { name: 'visits', datatype: 'FP64', values: [1] }]),
      ask(forest, [{ name: 'rows', datatype: 'FP64', values: [[1, 2, 3]] }]),
      ask(classifier, [age ?? {}, { ...visits, datatype: 'FP64', values: [1, 2.5] }]),
      ask(classifier, [{ name: 'age', datatype: 'BYTES', values: ['a', 'b'] }, visits ?? {}]),
      ask(twice, [{ name: 'x', datatype: 'FP64', values: [1] }], { parameters: { return_probabilities: true } }),
    );
    expect(answers).toEqual(
      [
        ['404', /no-such-model/],
        ['404', /version 7/],
        ['400', /^version: must be the number of a version/],
        ['400', /^inputs\.visits: missing column 'visits'/],
        ['400', /^inputs\.extra: unknown column 'extra'/],
        ['400', /^inputs\.visits: has 1 values, but "age" has 2/],
        ['400', /^inputs\.rows: has the shape \[1, 3\], but .* takes 2 columns/],
        ['400', /^inputs\.visits\.1: .*a whole number is expected/],
        ['400', /^inputs\.age\.0: .*a number is expected, not the text 'a'/],
        ['400', /^return_probabilities: .*gives no probabilities/],
      ].map(([status, error]) => ({ status, error: expect.stringMatching(error ?? '') })),
    );
  });
});

describe('over plain HTTP', { timeout: JOB_LIMIT_MS }, () => {
  const input = { name: 'x', datatype: 'FP64', shape: [2], data: [1, 2] };
  const infer = (changes: object, path = `/v2/models/${twice}/infer`) =>
    call(path, { inputs: [{ ...input, ...changes }] });

  test('an answer says what answered and where its time went, and counts as a prediction', async () => {
    const { status, body, headers } = await infer({});
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body.outputs[0]).toEqual({ name: 'total', datatype: 'FP64', shape: [2], data: [2, 4] });
    expect(Object.fromEntries(headers)).toMatchObject({
      'x-asgard-model-version': '1',
      'x-asgard-engine': 'python',
      'server-timing': expect.stringMatching(
        /^parse;dur=[0-9.]+, queue;dur=[0-9.]+, predict;dur=[0-9.]+, serialize;dur=/,
      ),
    });
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(new RegExp(`mlops_inference_requests_total\\{model="${twice}",status="ok"\\} [1-9]`));
  });

  test.each<[string, object, RegExp]>([
    ['too few elements', { shape: [3] }, /^inputs\.x: has 2 elements, but its shape \[3\] takes 3/],
    ['no rows', { shape: [0], data: [] }, /^inputs\.0\.shape\.0: /],
    ['no shape', { shape: [] }, /^inputs\.0\.shape: /],
    ['an unknown datatype', { datatype: 'BF16' }, /^inputs\.0\.datatype: .*'FP64'/],
    ['a text for a number', { data: [1, 'two'] }, /^inputs\.x\.1: must be a number/],
    [
      'a fraction for a whole number',
      { datatype: 'INT32', data: [1, 1.5] },
      /^inputs\.x\.1: must be a whole number from/,
    ],
    ['a whole number out of range', { datatype: 'INT8', data: [1, 200] }, /^inputs\.x\.1: .* from -128 to 127/],
    ['nesting that is not its shape', { shape: [2, 1], data: [[1, 2]] }, /^inputs\.x: is not nested as its shape says/],
    ['no data', { data: undefined }, /^inputs\.x: has neither data nor binary_data_size/],
    ['bytes that are not there', { data: undefined, parameters: { binary_data_size: 16 } }, /^inputs\.x: has 16 bytes/],
  ])('a tensor with %s is refused', async (_what, changes, error) => {
    const { status, body } = await infer(changes);
    expect(body).toEqual({ error: expect.stringMatching(error) });
    expect(status).toBe(400);
  });

  test('nested data is taken, and null for a number that is not known', async () => {
    expect((await infer({ shape: [2, 1], data: [[1], [2]] })).body.outputs[0].data).toEqual([2, 4]);
    expect((await infer({ data: [1, null] })).body.outputs[0].data).toEqual([2, null]);
  });

  test.each<[string, string, RequestInit, number, RegExp]>([
    ['a path that nobody has', '/v2/repository/index', { method: 'POST' }, 404, /Not Found/],
    ['another method', `/v2/models/${twice}/infer`, {}, 405, /Method Not Allowed/],
    ['no body', `/v2/models/${twice}/infer`, { method: 'POST' }, 400, /Field required/],
    ['what is no JSON', `/v2/models/${twice}/infer`, { method: 'POST', body: new Uint8Array([123]) }, 400, /JSON/],
    [
      'another type',
      `/v2/models/${twice}/infer`,
      { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } },
      415,
      /application\/json/,
    ],
    [
      'a header that is longer than the body',
      `/v2/models/${twice}/infer`,
      {
        method: 'POST',
        body: '{}',
        headers: { 'inference-header-content-length': '3', 'content-type': 'application/octet-stream' },
      },
      400,
      /^inference-header-content-length: .*up to/,
    ],
    [
      'a body beyond the limit',
      `/v2/models/${twice}/infer`,
      {
        method: 'POST',
        body: new Uint8Array(17 * 1024 * 1024),
        headers: { 'content-type': 'application/octet-stream' },
      },
      413,
      /larger than/,
    ],
    ['a page of another origin', '/v2', { headers: { origin: 'https://evil.example' } }, 403, /another origin/],
  ])('%s gets an error in the words of the protocol', async (_what, path, init, expected, error) => {
    const answer = await fetch(`${url}${path}`, init);
    expect([answer.status, await answer.json()]).toEqual([expected, { error: expect.stringMatching(error) }]);
  });

  test('a version that is refused is a conflict, for its metadata, its readiness and predictions', async () => {
    const broken = uniqueName('broken');
    await jobs.run(
      `
import pickle, mlflow
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[1, 1], [2, 3]], [1, 2])
del model.coef_
with mlflow.start_run():
    with open("model.pkl", "wb") as file:
        pickle.dump(model, file)
    mlflow.log_artifact("model.pkl", artifact_path="model")
`,
      { modelName: broken },
    );
    const path = `/v2/models/${broken}/versions/1`;
    const answers = await Promise.all([call(path), call(`${path}/ready`), call(`${path}/infer`, { inputs: [input] })]);
    const error = expect.stringMatching(/is registered, but cannot be served: .*coef_/);
    expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map(() => [409, { error }]));
  });
});
