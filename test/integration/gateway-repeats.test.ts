import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildHttpServer, listen } from '../../src/http/server.ts';
import { mlflowGateway } from '../../src/mlflow/gateway.ts';
import type { Observation } from '../../src/mlflow/observation.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { CallNotesForTests } from '../support/call-notes.ts';
import { type LossyUpstream, type Stage, startLossyUpstream } from '../support/lossy-upstream.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { poll } from '../support/poll.ts';

const log = createLogger('silent', false);
const notes = new CallNotesForTests();
let mlflow: MlflowForTests;
let upstream: LossyUpstream;
let gateway: FastifyInstance;
let url: string;
let observed: Observation[];

beforeAll(async () => {
  mlflow = await startMlflow();
  upstream = await startLossyUpstream(mlflow.url);
  await startGateway();
});
beforeEach(() => {
  observed = [];
  upstream.isLost = () => false;
});
afterAll(async () => {
  await gateway?.close();
  await upstream?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});

async function startGateway(): Promise<void> {
  const observer = {
    authenticate: async () => ({ jobId: 'job', attemptId: 1n }),
    record: async (_identity: unknown, observation: Observation) => void observed.push(observation),
  };
  const options = { upstream: () => upstream.url, everything: false, observer, notes, log };
  gateway = await buildHttpServer({ log, routes: [async (app) => void (await app.register(mlflowGateway, options))] });
  url = `http://127.0.0.1:${await listen(gateway, '127.0.0.1', 0)}`;
}

/** A gateway that knows of the one before by its notes alone. */
async function replaceGateway(): Promise<void> {
  await gateway.close();
  notes.leaveBehind();
  await startGateway();
}

interface Call {
  readonly method?: string;
  readonly path: string;
  readonly body: object;
}

async function send({ method = 'POST', path, body }: Call, signal?: AbortSignal) {
  const answer = await fetch(`${url}/api/${path.startsWith('traces') ? '3.0' : '2.0'}/mlflow/${path}`, {
    method,
    headers: { 'content-type': 'application/json', authorization: 'Bearer asgard-job-1' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
  return { status: answer.status, json: await answer.json() };
}

/** What MLflow itself says, as JSON. */
async function ask(path: string, body?: object) {
  const answer = await fetch(`${mlflow.url}/api/${path.startsWith('traces') ? '3.0' : '2.0'}/mlflow/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return answer.json();
}

/** Loses this call's next `times` requests or answers. */
function lose(call: Call, stage: Stage, times = 1): void {
  let left = times;
  upstream.isLost = (at, { method, path }) => {
    const isIt = at === stage && method === (call.method ?? 'POST') && path.endsWith(`/mlflow/${call.path}`);
    if (!isIt || left === 0) return false;
    left -= 1;
    return true;
  };
}

const unique = () => randomBytes(6).toString('hex');

/** Sends a call whose first `loss` is lost and then its repeat, to the same gateway or to the one after it. */
async function repeated(call: Call, loss: Stage, isReplaced: boolean) {
  lose(call, loss);
  expect((await send(call)).status).toBe(503);
  expect(notes.kept.size).toBe(1);
  if (isReplaced) await replaceGateway();
  const answer = await send(call);
  expect(answer).toMatchObject({ status: 200 });
  await poll(
    () => notes.kept.size,
    (size) => size === 0,
  );
  return answer.json;
}

async function newRun(): Promise<string> {
  const { run } = await ask('runs/create', { experiment_id: '0', start_time: 1 });
  return run.info.run_id;
}

async function newModel(sourceRun?: string): Promise<string> {
  const { model } = await ask('logged-models', { experiment_id: '0', name: unique(), source_run_id: sourceRun });
  return model.info.model_id;
}

describe.each([
  ['before MLflow had it', 'request', false],
  ['after MLflow did it', 'answer', false],
  ['before MLflow had it, and the gateway was killed', 'request', true],
  ['after MLflow did it, and the gateway was killed', 'answer', true],
] as const)('a call that was lost %s, repeated', (_name, loss, isReplaced) => {
  test('makes one run, with the answer that it would have got, and its numbers as they were given', async () => {
    const name = unique();
    const body = `{"experiment_id":"0","start_time":1700000000000000001,"run_name":"${name}","tags":[{"key":"a","value":"b"}]}`;
    const call = { path: 'runs/create', body: JSON.parse(body) };
    const { run } = await repeated(call, loss, isReplaced);
    const { runs } = await ask('runs/search', { experiment_ids: ['0'], filter: `attributes.run_name = '${name}'` });
    expect(runs).toHaveLength(1);
    expect(run.info).toEqual(runs[0].info);
    expect(run.data.tags).toContainEqual({ key: 'a', value: 'b' });
    expect(observed.at(-1)).toEqual({ type: 'run', runId: run.info.run_id, experimentId: '0' });
  });

  test('makes one logged model, of its parameters too, and one output of its run', async () => {
    const [name, run] = [unique(), await newRun()];
    const call = { path: 'logged-models', body: { experiment_id: '0', name, source_run_id: run } };
    const { model } = await repeated(call, loss, isReplaced);
    const search = { experiment_ids: ['0'], filter: `name = '${name}'` };
    const { models } = await ask('logged-models/search', search);
    expect(models.map((each: typeof model) => each.info)).toEqual([model.info]);
    const model_id = model.info.model_id;
    const params = { model_id, params: [{ key: 'p', value: '1' }] };
    await repeated({ path: `logged-models/${model_id}/params`, body: params }, loss, isReplaced);
    const outputs = { run_id: run, models: [{ model_id, step: '0' }] };
    await repeated({ path: 'runs/outputs', body: outputs }, loss, isReplaced);
  });

  test('makes one experiment, one registered model under its name, and one version', async () => {
    const name = unique();
    const made = await repeated({ path: 'experiments/create', body: { name } }, loss, isReplaced);
    expect((await ask(`experiments/get-by-name?experiment_name=${name}`)).experiment.experiment_id).toBe(
      made.experiment_id,
    );
    const { registered_model } = await repeated({ path: 'registered-models/create', body: { name } }, loss, isReplaced);
    expect(registered_model.name).toBe(name);
    const version = { name, source: `models:/${await newModel()}` };
    const body = { ...version, model_id: version.source.slice('models:/'.length) };
    const { model_version } = await repeated({ path: 'model-versions/create', body }, loss, isReplaced);
    const { model_versions } = await ask(`model-versions/search?filter=name%3D'${name}'`);
    expect(model_versions).toMatchObject([{ version: '1' }]);
    expect(model_version.version).toBe('1');
    expect(observed.at(-1)).toMatchObject({ type: 'version', name, version: '1' });
    const renamed = await repeated(
      { path: 'registered-models/rename', body: { name, new_name: `${name} 2` } },
      loss,
      isReplaced,
    );
    expect(renamed.registered_model.name).toBe(`${name} 2`);
  });

  test('makes one version of a prompt, one record of a saved model, one assessment', async () => {
    const name = unique();
    const tags = [
      { key: 'mlflow.prompt.is_prompt', value: 'true' },
      { key: 'mlflow.prompt.text', value: 'Hello' },
    ];
    await ask('registered-models/create', { name, tags });
    const prompt = { path: 'model-versions/create', body: { name, source: 'prompt-template', tags } };
    expect((await repeated(prompt, loss, isReplaced)).model_version.version).toBe('1');

    const run_id = await newRun();
    const model_json = JSON.stringify({
      artifact_path: 'm',
      run_id,
      model_uuid: unique(),
      utc_time_created: 'now',
      flavors: {},
    });
    await repeated({ path: 'runs/log-model', body: { run_id, model_json } }, loss, isReplaced);
    const { run } = await ask(`runs/get?run_id=${run_id}`);
    const history = run.data.tags.find(({ key }: { key: string }) => key === 'mlflow.log-model.history');
    expect(JSON.parse(history.value)).toHaveLength(1);

    const trace_id = `tr-${unique()}`;
    const place = { type: 'MLFLOW_EXPERIMENT', mlflow_experiment: { experiment_id: '0' } };
    const at = '2026-01-01T00:00:00Z';
    await ask('traces', { trace: { trace_info: { trace_id, trace_location: place, request_time: at, state: 'OK' } } });
    const source = { source_type: 'HUMAN', source_id: 'me' };
    const times = { create_time: at, last_update_time: at };
    const assessment = { assessment_name: 'good', trace_id, source, feedback: { value: 1.5 }, ...times };
    const path = `traces/${trace_id}/assessments`;
    const made = await repeated({ path, body: { assessment } }, loss, isReplaced);
    const { trace } = await ask(`traces/${trace_id}`);
    expect(trace.trace_info.assessments).toMatchObject([{ assessment_id: made.assessment.assessment_id }]);
  });

  test('takes away what it should, and is not told that it is gone', async () => {
    const run_id = await newRun();
    await ask('runs/set-tag', { run_id, key: 'k', value: 'v' });
    await repeated({ path: 'runs/delete-tag', body: { run_id, key: 'k' } }, loss, isReplaced);
    const name = unique();
    await ask('registered-models/create', { name });
    await repeated({ method: 'DELETE', path: 'registered-models/delete', body: { name } }, loss, isReplaced);
    // What was never there is still told.
    expect((await send({ path: 'runs/delete-tag', body: { run_id, key: 'k' } })).status).toBe(404);
  });
});

describe('equal calls', () => {
  test('that a script makes on purpose are all done, one after the other and at once', async () => {
    const name = unique();
    await ask('registered-models/create', { name });
    const body = { name, source: `models:/${await newModel()}` };
    const call = { path: 'model-versions/create', body: { ...body, model_id: body.source.slice('models:/'.length) } };
    const versions = [];
    for (let time = 0; time < 3; time += 1) versions.push((await send(call)).json.model_version.version);
    const run = { path: 'runs/create', body: { experiment_id: '0', start_time: 1 } };
    const runs = await Promise.all(Array.from({ length: 5 }, () => send(run)));
    expect(versions).toEqual(['1', '2', '3']);
    expect(new Set(runs.map(({ json }) => json.run.info.run_id)).size).toBe(5);
  });

  test('that were both under way when the gateway was killed find each its own run', async () => {
    const call = { path: 'runs/create', body: { experiment_id: '0', start_time: 1, run_name: unique() } };
    lose(call, 'answer', 2);
    expect((await Promise.all([send(call), send(call)])).map(({ status }) => status)).toEqual([503, 503]);
    await replaceGateway();
    const answers = [await send(call), await send(call)];
    const search = { experiment_ids: ['0'], filter: `attributes.run_name = '${call.body.run_name}'` };
    const { runs } = await ask('runs/search', search);
    const ids = (list: { info: { run_id: string } }[]) => list.map(({ info }) => info.run_id).toSorted();
    expect(ids(answers.map(({ json }) => json.run))).toEqual(ids(runs));
    expect(runs).toHaveLength(2);
  });

  test('of which the second comes when the client gave up the first, which still runs, are one', async () => {
    const call = { path: 'runs/create', body: { experiment_id: '0', start_time: 1, run_name: unique() } };
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    let requests = 0;
    upstream.isLost = async (stage) => {
      if (stage === 'request') return false;
      requests += 1;
      arrive();
      await held;
      return false;
    };
    const leaving = new AbortController();
    const first = send(call, leaving.signal).catch(() => undefined);
    await arrived;
    leaving.abort();
    await first;
    const second = send(call);
    release();
    const { json } = await second;
    expect(requests).toBe(1);
    expect(observed).toEqual([{ type: 'run', runId: json.run.info.run_id, experimentId: '0' }]);
    expect((await send(call)).json.run.info.run_id).not.toBe(json.run.info.run_id);
  });

  test('of which the first was answered to nobody, and then the gateway was killed, are one', async () => {
    const call = { path: 'runs/create', body: { experiment_id: '0', start_time: 1, run_name: unique() } };
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    upstream.isLost = async (stage) => {
      if (stage === 'request') return false;
      arrive();
      await held;
      return false;
    };
    const leaving = new AbortController();
    const first = send(call, leaving.signal).catch(() => undefined);
    await arrived;
    leaving.abort();
    await first;
    release();
    await poll(
      () => observed.length,
      (count) => count === 1,
    );
    await replaceGateway();
    const { json } = await send(call);
    const run = { type: 'run', runId: json.run.info.run_id, experimentId: '0' };
    expect(observed).toEqual([run, run]);
    const search = { experiment_ids: ['0'], filter: `attributes.run_name = '${call.body.run_name}'` };
    expect((await ask('runs/search', search)).runs).toHaveLength(1);
  });
});
