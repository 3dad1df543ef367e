import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { AsgardClient } from '../../src/client/client.ts';
import { askGraphql } from '../support/ask-graphql.ts';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { killIfThere, processesOf } from '../support/processes.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { CLASSIFIER_SCRIPT, pickleScript } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');
/** Its name holds what means something to a URL, a shell or a filter somewhere on the way. */
const pickle = uniqueName("it's 50%41 ünï ✅ #1 & co");
const classifier = uniqueName('classifier');
/** What `Server-Timing` says of a request that a model had in hand. */
const ALL_PHASES = /^parse;dur=[0-9.]+, queue;dur=[0-9.]+, predict;dur=[0-9.]+, serialize;dur=[0-9.]+$/;
/** The classifier's rows: one who stays, one who leaves. */
const people = { age: [22, 66], visits: [1, 9] };

beforeAll(async () => {
  const ended = await Promise.all([
    jobs.run(pickleScript(2), { modelName: pickle }),
    jobs.run(CLASSIFIER_SCRIPT, { modelName: classifier }),
  ]);
  expect(ended.map(({ job }) => [job.status, job.modelVersion?.version])).toEqual(ended.map(() => ['COMPLETED', '1']));
}, JOB_LIMIT_MS);

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function infer(body: object): Promise<{ status: number; body: any }> {
  const answer = await fetch(`${url}/mlops/inference`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

describe('prediction', { timeout: JOB_LIMIT_MS }, () => {
  test("by the guide's pickle answers a value for each row", async () => {
    const answer = await infer({ model_name: pickle, inputs: { a: [1, 10, -2], b: [1, 0.5, 2] } });
    expect(answer).toMatchObject({
      status: 200,
      body: { model_name: pickle, model_version: '1', probabilities: null },
    });
    expect(answer.body.predictions).toEqual([expect.closeTo(4), expect.closeTo(21), expect.closeTo(0)]);
  });

  test('takes columns by name, in whichever order they come', async () => {
    const answer = await infer({ model_name: pickle, inputs: { b: [3], a: [1] } });
    expect(answer.body.predictions).toEqual([expect.closeTo(8)]);
  });

  test('by a pyfunc model of MLflow 3 answers labels, and probabilities when asked', async () => {
    const plain = await infer({ model_name: classifier, inputs: people });
    expect(plain).toMatchObject({ status: 200, body: { predictions: ['stays', 'leaves'], probabilities: null } });
    const { body } = await infer({ model_name: classifier, inputs: people, return_probabilities: true });
    expect(body.predictions).toEqual(['stays', 'leaves']);
    expect(body.probabilities).toHaveLength(2);
    for (const row of body.probabilities) expect(row[0] + row[1]).toBeCloseTo(1);
    // Classes are in the model's own order: "leaves" comes before "stays".
    expect(body.probabilities[0][1]).toBeGreaterThan(0.5);
    expect(body.probabilities[1][0]).toBeGreaterThan(0.5);
  });

  test('says what answered and where its time went, in headers always and in the body when asked', async () => {
    const ask = (body: object) =>
      fetch(`${url}/mlops/inference`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model_name: classifier, inputs: people, ...body }),
      });
    const { version, runId, job } = await jobs.client.modelVersion(classifier, '1');
    const plain = await ask({});
    expect(Object.fromEntries(plain.headers)).toMatchObject({
      'x-asgard-model-version': version,
      'x-asgard-run-id': runId,
      'x-asgard-job-id': job?.id,
      'x-asgard-environment': expect.stringMatching(/^[0-9a-f]{16,}$/),
      'x-asgard-engine': expect.stringMatching(/^(python|onnx)$/),
      'server-timing': expect.stringMatching(ALL_PHASES),
    });
    expect(await plain.json()).not.toHaveProperty('metadata');
    const told = await (await ask({ include_metadata: true })).json();
    expect(told.metadata).toEqual({
      model_version: version,
      run_id: runId,
      job_id: job?.id,
      environment_hash: plain.headers.get('x-asgard-environment'),
      engine: plain.headers.get('x-asgard-engine'),
    });
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/mlops_inference_phase_seconds_count\{model="[^"]+",phase="predict"\} [1-9]/);
  });

  test('that fails says which version was to answer and where its time went, as far as that is known', async () => {
    const ask = (body: object) =>
      fetch(`${url}/mlops/inference`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model_name: classifier, inputs: { age: ['old'], visits: [1] }, ...body }),
      });
    const { runId, job } = await jobs.client.modelVersion(classifier, '1');
    const wrong = await ask({});
    expect(wrong.status).toBe(422);
    expect(Object.fromEntries(wrong.headers)).toMatchObject({
      'x-asgard-model-version': '1',
      'x-asgard-run-id': runId,
      'x-asgard-job-id': job?.id,
      'x-asgard-engine': expect.stringMatching(/^(python|onnx)$/),
      'server-timing': expect.stringMatching(ALL_PHASES),
    });
    const missing = await ask({ model_version: '77' });
    expect(missing.status).toBe(404);
    expect(missing.headers.has('x-asgard-model-version')).toBe(false);
    expect(missing.headers.get('server-timing')).toMatch(/^parse;dur=[0-9.]+, queue;dur=[0-9.]+, serialize;dur=/);
  });

  test('through GraphQL is the same, and says what answered and where its time went', async () => {
    const asked = { model_name: classifier, inputs: people, return_probabilities: true, include_metadata: true };
    const { predictions, probabilities, metadata } = (await infer(asked)).body;
    const predicted = await jobs.client.predict({ modelName: classifier, inputs: people, returnProbabilities: true });
    expect(predicted).toMatchObject({ modelName: classifier, modelVersion: '1', predictions, probabilities });
    const { runId, jobId, environmentHash } = predicted.origin;
    expect({ runId, jobId, environmentHash, engine: predicted.engine.toLowerCase() }).toEqual({
      runId: metadata.run_id,
      jobId: metadata.job_id,
      environmentHash: metadata.environment_hash,
      engine: expect.stringMatching(/^(python|onnx)$/),
    });
    const { parseMs, queueMs, predictMs } = predicted.timings;
    expect(Math.min(parseMs, queueMs, predictMs)).toBeGreaterThanOrEqual(0);
    expect(queueMs + predictMs).toBeCloseTo(predicted.inferenceTimeMs);
  });

  test('through GraphQL says in its header too where the time went, of all predictions of an operation', async () => {
    const timingOf = async (fields: string, asked = classifier) => {
      const query = `mutation ($input: PredictInput!) { ${fields} }`;
      const answer = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables: { input: { modelName: asked, inputs: people } } }),
      });
      const { data, errors } = await answer.json();
      expect(errors).toBeUndefined();
      const header = answer.headers.get('server-timing');
      return { data, header, parts: Object.fromEntries((header ?? '').split(', ').map((part) => part.split(';dur='))) };
    };
    const taken = '... on Prediction { predictions timings { queueMs predictMs } }';
    const { data, header, parts } = await timingOf(`one: predict(input: $input) { ${taken} }
      two: predict(input: $input) { ${taken} }`);
    expect(header).toMatch(ALL_PHASES);
    for (const [part, ms] of Object.entries({ queue: 'queueMs', predict: 'predictMs' })) {
      expect(Number(parts[part])).toBeCloseTo(data.one.timings[ms] + data.two.timings[ms], 2);
    }
    const missing = await timingOf('predict(input: $input) { __typename }', uniqueName('nobody made it'));
    expect(missing.data).toEqual({ predict: { __typename: 'NotFoundError' } });
    expect(missing.header).toMatch(/^parse;dur=[0-9.]+, queue;dur=[0-9.]+, serialize;dur=[0-9.]+$/);
    const other = await fetch(`${url}/graphql?query=${encodeURIComponent('{ platformStatus { __typename } }')}`);
    expect(other.headers.has('server-timing')).toBe(false);
  });

  test('through GraphQL leads to the version, run, job and environment that answered', async () => {
    const { job } = await jobs.client.modelVersion(classifier, '1');
    const query = `mutation ($input: PredictInput!) { predict(input: $input) { ... on Prediction { origin {
      jobId modelVersion { name version } run { id } job { id scriptName }
      environment { hash packages { name } } } } } }`;
    const data = await askGraphql(query, { input: { modelName: classifier, inputs: people } });
    const { origin } = data.predict;
    expect(origin).toMatchObject({
      modelVersion: { name: classifier, version: '1' },
      run: { id: expect.stringMatching(/^[0-9a-f]{32}$/) },
      job: { id: job?.id, scriptName: expect.any(String) },
      environment: { hash: expect.stringMatching(/^[0-9a-f]{16,}$/) },
    });
    expect(origin.environment.packages).toContainEqual({ name: 'scikit-learn' });
  });

  test('of a client that was cut off from the platform is answered once the way is free again', async () => {
    await using proxy = await startTcpProxy(url);
    await using client = new AsgardClient({ url: proxy.url });
    proxy.breakAfter(0);
    const release = async () => {
      await poll(
        () => proxy.connections,
        (count) => count > 0,
      );
      proxy.release();
    };
    const [answer] = await Promise.all([client.predict({ modelName: classifier, inputs: people }), release()]);
    expect(answer).toMatchObject({ predictions: ['stays', 'leaves'] });
    expect(proxy.connections).toBeGreaterThan(1);
  });

  test('is asked for, and traced to its job, as the example does', async () => {
    const example = join(import.meta.dirname, '../../examples/serving/predict.ts');
    const run = (inputs: object) =>
      promisify(execFile)(process.execPath, [example, classifier, JSON.stringify(inputs), url], { timeout: 60_000 });
    const { stdout } = await run(people);
    expect(stdout).toMatch(/^predictions \["stays","leaves"\]\nby version 1, (PYTHON|ONNX): [0-9.]+ ms until it began/);
    const { job } = await jobs.client.modelVersion(classifier, '1');
    expect(stdout).toContain(`job ${job?.id}, until 20`);
    expect(stdout).toMatch(/^tried with [A-Z_]+: loaded in [0-9.]+ s, predicts in [0-9.]+ ms$/m);
    expect(stdout).toMatch(/^compilation: (PENDING|COMPILED|REFUSED)/m);
    expect(stdout).toMatch(/^in memory: [1-9][0-9]+ bytes, [0-9]+ requests wait$/m);
    await expect(run({ age: [22], visits: ['many'] })).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^INVALID_INPUT: .*\n {2}inputs\.visits\.0: /),
    });
  });

  test('shows in memory what it has loaded, in GraphQL and in REST alike', async () => {
    await jobs.client.predict({ modelName: classifier, inputs: people });
    const served = await jobs.client.servedModels();
    const own = served.find(({ name }) => name === classifier);
    expect(own).toMatchObject({ version: '1', waitingRequests: expect.any(Number) });
    expect(own?.memoryBytes).toBeGreaterThan(1_000_000);
    const version = await jobs.client.modelVersion(classifier, '1');
    expect(version).toMatchObject({
      servingEngine: expect.stringMatching(/^(PYTHON|ONNX)$/),
      served: { name: classifier, version: '1', loadedAt: own?.loadedAt },
      check: { status: 'SERVABLE', refusal: null, traceback: null },
      compilation: { status: expect.stringMatching(/^(PENDING|COMPILED|REFUSED)$/) },
    });
    const { loadSeconds, p50Ms, peakMemoryBytes, exampleSource } = version.check ?? {};
    const ask = async (path: string) => (await fetch(`${url}/mlops/${path}`)).json();
    const { latest_versions: latest } = await ask(`models/${classifier}`);
    const shown = {
      servable: true,
      refusal: null,
      traceback: null,
      tried_with: exampleSource?.toLowerCase(),
      load_seconds: loadSeconds,
      predict_p50_ms: p50Ms,
      peak_memory_bytes: peakMemoryBytes,
      engine: expect.stringMatching(/^(python|onnx)$/),
      compilation: { status: expect.stringMatching(/^(pending|compiled|refused)$/) },
      loaded: { model_name: classifier, model_version: '1', loaded_at: own?.loadedAt.slice(0, 19) },
    };
    expect(latest).toMatchObject([shown]);
    expect(await ask(`models/${classifier}/versions/1`)).toMatchObject(shown);
    const { served_models: all } = await ask('status');
    expect(all).toContainEqual(expect.objectContaining(shown.loaded));
  });

  test('of many rows and of many requests at once answers each its own', async () => {
    const rows = Array.from({ length: 5000 }, (_, index) => index);
    const big = await infer({ model_name: pickle, inputs: { a: rows, b: rows } });
    expect(big.body.predictions).toHaveLength(rows.length);
    expect(big.body.predictions[4999]).toBeCloseTo(4 * 4999);
    const answers = await Promise.all(
      rows.slice(0, 30).map((row) => infer({ model_name: pickle, inputs: { a: [row], b: [0] } })),
    );
    expect(answers.map(({ body }) => body.predictions[0])).toEqual(
      rows.slice(0, 30).map((row) => expect.closeTo(2 * row)),
    );
  });
});

describe('a request that is wrong', { timeout: JOB_LIMIT_MS }, () => {
  const columns = { a: [1, 2], b: [3, 4] };

  test.each<[string, object, number, string]>([
    ['a model that is not there', { model_name: 'no_such_model', inputs: columns }, 404, 'no_such_model'],
    ['a version that is not there', { model_name: pickle, model_version: '77', inputs: columns }, 404, '77'],
    ['an alias that is not there', { model_name: pickle, model_version: 'newest', inputs: columns }, 404, 'newest'],
    ['an alias in the name that is not there', { model_name: `${classifier}@best`, inputs: columns }, 404, 'best'],
    ['a version that is neither', { model_name: pickle, model_version: 'v1', inputs: columns }, 422, 'model_version'],
    ['a missing column', { model_name: pickle, inputs: { a: [1, 2] } }, 422, 'b'],
    ['an unknown column', { model_name: pickle, inputs: { ...columns, extra: [1, 2] } }, 422, 'extra'],
    ['a text for a number', { model_name: pickle, inputs: { ...columns, b: [3, 'four'] } }, 422, 'four'],
    ['a list for a number', { model_name: pickle, inputs: { ...columns, b: [3, [4]] } }, 422, 'b'],
    ['columns of unequal lengths', { model_name: pickle, inputs: { a: [1, 2], b: [3] } }, 422, 'b'],
    ['columns without rows', { model_name: pickle, inputs: { a: [], b: [] } }, 422, 'a'],
    ['no columns', { model_name: pickle, inputs: {} }, 422, 'inputs'],
    ['a column that is no list', { model_name: pickle, inputs: { a: 1, b: 2 } }, 422, 'a'],
    [
      'a fraction for a whole number',
      { model_name: classifier, inputs: { ...people, visits: [1, 2.5] } },
      422,
      'visits',
    ],
    ['a missing column of a signature', { model_name: classifier, inputs: { age: [1] } }, 422, 'visits'],
    ['an unknown column of a signature', { model_name: classifier, inputs: { ...people, x: [1, 2] } }, 422, 'x'],
  ])('with %s is answered with what is wrong', async (_what, request, expected, named) => {
    const { status, body } = await infer(request);
    expect(status, JSON.stringify(body)).toBe(expected);
    if (expected === 404) expect(body.detail).toContain(named);
    else expect(JSON.stringify(body.detail[0].loc) + body.detail[0].msg).toContain(named);
  });

  test.each<[string, { modelName: string; inputs: unknown; modelVersion?: string }, string, string[]]>([
    ['a model that is not there', { modelName: 'no_such_model', inputs: columns }, 'NOT_FOUND', []],
    ['a version that is not there', { modelName: pickle, modelVersion: '77', inputs: columns }, 'NOT_FOUND', []],
    ['a missing column', { modelName: pickle, inputs: { a: [1] } }, 'INVALID_INPUT', ['inputs', 'b']],
    ['an unknown column', { modelName: pickle, inputs: { ...columns, c: [1, 2] } }, 'INVALID_INPUT', ['inputs', 'c']],
    ['a wrong type', { modelName: pickle, inputs: { a: [1], b: ['x'] } }, 'INVALID_INPUT', ['inputs', 'b', '0']],
    ['unequal lengths', { modelName: pickle, inputs: { a: [1], b: [1, 2] } }, 'INVALID_INPUT', ['inputs', 'b']],
  ])('with %s is a failure of its code in GraphQL', async (_what, input, code, path) => {
    const issues = path.length === 0 ? [] : [{ path }];
    await expect(jobs.client.predict(input)).rejects.toMatchObject({ code, issues });
  });

  test('does not keep the next one from its answer', async () => {
    const answer = await infer({ model_name: pickle, inputs: { a: [1], b: [1] } });
    expect(answer.body.predictions).toEqual([expect.closeTo(4)]);
  });
});

describe('versions', { timeout: JOB_LIMIT_MS }, () => {
  test('the second becomes the latest, and the first can still be asked', async () => {
    const name = uniqueName('versions');
    await jobs.run(pickleScript(2), { modelName: name });
    const inputs = { a: [1], b: [1] };
    const ask = async (model_version?: unknown) => {
      const { body } = await infer({ model_name: name, inputs, model_version });
      return [body.model_version, Math.round(body.predictions?.[0])];
    };
    expect(await ask()).toEqual(['1', 4]);
    const { job } = await jobs.run(pickleScript(5), { modelName: name });
    expect(job.modelVersion).toMatchObject({ name, version: '2' });
    expect(await ask()).toEqual(['2', 10]);
    expect(await ask('latest')).toEqual(['2', 10]);
    expect(await ask('1')).toEqual(['1', 4]);
    expect(await ask(2)).toEqual(['2', 10]);
  });
});

describe('an alias', { timeout: JOB_LIMIT_MS }, () => {
  test('that moves under load loses no request, and answers by the new version once it is loaded', async () => {
    const name = uniqueName('moved');
    for (const slope of [2, 5]) await jobs.run(pickleScript(slope), { modelName: name });
    const move = (version: string) => jobs.client.registry.setAlias(name, 'champion', version);
    await move('1');
    const counts = { requests: 0, failures: 0, '1': 0, '2': 0 };
    const ask = async (client: number) => {
      const named =
        client % 2 === 0 ? { model_name: `${name}@champion` } : { model_name: name, model_version: 'champion' };
      const { status, body } = await infer({ ...named, inputs: { a: [1], b: [1] } });
      counts.requests += 1;
      const expected = { '1': 4, '2': 10 }[String(body.model_version)];
      if (status === 200 && Math.round(body.predictions[0]) === expected) counts[body.model_version as '1' | '2'] += 1;
      else counts.failures += 1;
      return body.model_version;
    };
    await ask(0);
    let isDone = false;
    /** What each client got of the new version: the two names of it are not known to mean it at one moment. */
    const newer = Array.from({ length: 4 }, () => 0);
    const clients = newer.map(async (_, client) => {
      while (!isDone) if ((await ask(client)) === '2') newer[client] = (newer[client] ?? 0) + 1;
    });
    const moving = async () => {
      try {
        await poll(
          () => counts['1'],
          (count) => count > 50,
        );
        await move('2');
        await poll(
          () => Math.min(...newer),
          (count) => count > 50,
          JOB_LIMIT_MS,
        );
      } finally {
        isDone = true;
      }
    };
    await Promise.all([...clients, moving()]);
    console.log('an alias moved under load:', JSON.stringify(counts));
    expect(counts).toMatchObject({ failures: 0, requests: counts['1'] + counts['2'] });
    expect((await infer({ model_name: `${name}@champion`, inputs: { a: [1], b: [1] } })).body.model_version).toBe('2');
  });
});

const servingProcesses = () => processesOf(`ASGARD_MODEL_URI=models:/${pickle}/1\0`).map(({ pid }) => pid);

describe("a model's process", { timeout: JOB_LIMIT_MS }, () => {
  test('that is killed between two requests is replaced for the next', async () => {
    const request = { model_name: pickle, inputs: { a: [1], b: [1] } };
    expect((await infer(request)).status).toBe(200);
    // More than one where requests have had to wait.
    const before = servingProcesses();
    expect(before).not.toEqual([]);
    for (const pid of before) killIfThere(pid);
    const { status, body } = await infer(request);
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body.predictions).toEqual([expect.closeTo(4)]);
    const after = servingProcesses();
    expect(after).not.toEqual([]);
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  });
});
