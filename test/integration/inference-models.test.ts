import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ServableGate } from '../../src/inference/check/servable-gate.ts';
import type { LoadModel } from '../../src/inference/engine.ts';
import type { PredictionOutcome } from '../../src/inference/prediction-observer.ts';
import { preloadModels } from '../../src/inference/preload.ts';
import { PythonLoader } from '../../src/inference/python/load-python.ts';
import { ServedModels } from '../../src/inference/served-models.ts';
import { type FailedPrediction, InferenceService } from '../../src/inference/service.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelFiles } from '../../src/models/model-files.ts';
import { recordCheck, type ServableKey, servableVersions } from '../../src/models/servable-versions.ts';
import { ModelService } from '../../src/models/service.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import type { PythonEnvironments } from '../../src/python/environments.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { constantModel, modelPickle } from '../support/model-pickle.ts';
import { type ModelProcesses, modelProcessesIn, TOOLCHAIN_ENVIRONMENT } from '../support/model-processes.ts';
import { poll } from '../support/poll.ts';
import { killIfThere, processesOf } from '../support/processes.ts';
import { uniqueName } from '../support/unique-name.ts';

const HANGS = modelPickle('import time\ntime.sleep(600)');

let mlflow: MlflowForTests;
let databases: DatabasesForTests;
let database: TestDatabase;
let client: MlflowClient;
let models: ModelService;
let folder: string;
let processes: ModelProcesses;
let requests: string[] = [];

beforeAll(async () => {
  [mlflow, databases] = await Promise.all([startMlflow(), DatabasesForTests.start()]);
  database = await databases.create();
  client = new MlflowClient({ baseUrl: () => mlflow.url, onRequest: ({ path }) => void requests.push(path) });
  models = new ModelService(client);
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
  await Promise.all([mlflow?.[Symbol.asyncDispose](), databases?.[Symbol.asyncDispose]()]);
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-models-'));
  processes = modelProcessesIn(folder);
  requests = [];
});
afterEach(async () => {
  await processes[Symbol.asyncDispose]();
  // What was killed is seen for a moment.
  await poll(
    () => processesOf(folder),
    (left) => left.length === 0,
  );
  await rm(folder, { recursive: true, force: true });
});

/** Models whose environments are made by `prepare`, to be disposed of. */
function servedWith(prepare: PythonEnvironments['prepare'], memoryBytes = 2 ** 40): ServedModels {
  const environments = { prepare, prepareLocked: () => prepare({ requirements: [] }) };
  const files = new ModelFiles({ mlflow: client, folder: join(folder, 'files'), limitBytes: 2 ** 30 });
  const python = new PythonLoader({ database: database.client, environments, files, ...processes });
  const load: LoadModel = (version, context) => python.load(version, context);
  return new ServedModels({ load, memoryBytes, logger: pino({ level: 'silent' }) });
}

const ready = async () => TOOLCHAIN_ENVIRONMENT;

/** A logger, and what it was told. */
function logOf() {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { logger, lines };
}

/** Registers a pickle, as the artifact of a run, as a version of a model. */
async function register(name: string, pickle: string) {
  const { run } = await call('POST', 'runs/create', { experiment_id: '0' });
  const artifact = `${mlflow.url}/api/2.0/mlflow-artifacts/artifacts/0/${run.info.run_id}/artifacts/model/model.pkl`;
  expect((await fetch(artifact, { method: 'PUT', body: Buffer.from(pickle) })).status).toBe(200);
  return models.register({ name, source: `runs:/${run.info.run_id}/model` });
}

const unregister = (name: string) => call('DELETE', 'registered-models/delete', { name });

// biome-ignore lint/suspicious/noExplicitAny: what MLflow answers is looked at by its caller
async function call(method: string, endpoint: string, body: object): Promise<any> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${mlflow.url}/api/2.0/mlflow/${endpoint}`, {
    method,
    headers,
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
  return answer.json();
}

const filesLeft = () => readdir(join(folder, 'processes')).catch(() => []);
const asking = (modelName: string, modelVersion?: string) => ({
  modelName,
  inputs: { x: [1] },
  returnProbabilities: false,
  ...(modelVersion === undefined ? {} : { modelVersion }),
});

describe('predictions', () => {
  test.each([undefined, '1'])(
    'of a model (version: %s) that was deleted and made anew are of the new one within some seconds',
    async (version) => {
      const name = uniqueName('model');
      await using served = servedWith(ready);
      const service = new InferenceService({ models, served });
      await register(name, constantModel(1));
      await expect(service.predict(asking(name, version))).resolves.toMatchObject({ predictions: [1] });
      await unregister(name);
      await register(name, constantModel(2));
      const predict = async () => (await service.predict(asking(name, version))).predictions[0];
      await expect(poll(predict, (value) => value === 2)).resolves.toBe(2);
    },
  );

  test('in a burst ask MLflow for the version once', async () => {
    const name = uniqueName('model');
    await using served = servedWith(ready);
    const service = new InferenceService({ models, served });
    await register(name, constantModel(7));
    await service.predict(asking(name));
    for (const version of ['1', 'latest']) {
      requests = [];
      const answers = await Promise.all(Array.from({ length: 30 }, () => service.predict(asking(name, version))));
      expect(answers.every(({ predictions }) => predictions[0] === 7)).toBe(true);
      expect(requests.length).toBeLessThanOrEqual(1);
    }
  });

  test('of a model whose process was killed a moment ago are of a new process', async () => {
    const name = uniqueName('model');
    await using served = servedWith(ready);
    const service = new InferenceService({ models, served });
    await register(name, constantModel(5));
    await service.predict(asking(name));
    for (const { pid } of processesOf(folder)) killIfThere(pid);
    await expect(service.predict(asking(name))).resolves.toMatchObject({ predictions: [5] });
  });

  test('of a model that crashes its process are tried with another one once', async () => {
    const name = uniqueName('model');
    await using served = servedWith(ready);
    const service = new InferenceService({ models, served });
    await register(name, modelPickle('import os, types\nmodel = types.SimpleNamespace(predict=lambda _: os._exit(3))'));
    await expect(service.predict(asking(name))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('that take longer than they may end with the work for them, and say so', async () => {
    const name = uniqueName('model');
    await using served = servedWith(ready);
    const service = new InferenceService({ models, served });
    const hurried = new InferenceService({ models, served, limitMs: 6_000 });
    const source = `
import time, types
def predict(frame):
    if (frame["x"] == 13).any():
        time.sleep(600)
    return [1] * len(frame)
model = types.SimpleNamespace(predict=predict)`;
    const version = await register(name, modelPickle(source));
    await service.predict(asking(name));
    const before = processesOf(folder).map(({ pid }) => pid);
    const failed: FailedPrediction[] = [];
    const hangs = hurried.predict(
      { ...asking(name), inputs: { x: [13] } },
      { onFailure: (told) => void failed.push(told) },
    );
    await expect(hangs).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'the model did not answer within 6 s; try again',
    });
    expect(failed).toMatchObject([{ modelVersion: '1', engine: 'python', timings: { predict: expect.any(Number) } }]);
    await poll(
      () => processesOf(folder).filter(({ pid }) => before.includes(pid)),
      (still) => still.length < before.length && served.find(version)?.waiting === 0,
    );
    await expect(service.predict(asking(name))).resolves.toMatchObject({ predictions: [1] });
  });

  test('whose caller leaves while the model is loaded are given up; it goes on loading', async () => {
    const name = uniqueName('model');
    const release = Promise.withResolvers<void>();
    await using served = servedWith(async () => {
      await release.promise;
      return TOOLCHAIN_ENVIRONMENT;
    });
    const outcomes: unknown[] = [];
    const onPrediction = ({ hasLeft }: PredictionOutcome) => void outcomes.push(hasLeft);
    const service = new InferenceService({ models, served, onPrediction });
    const version = await register(name, constantModel(1));
    const left = new AbortController();
    const asked = service.predict(asking(name), { signal: left.signal });
    left.abort(new Error('the caller has left'));
    await expect(asked).rejects.toThrow('the caller has left');
    expect(outcomes).toEqual([true]);
    release.resolve();
    expect(await served.get(version)).toMatchObject({ isEnded: false, waiting: 0 });
  });

  test('of a model that is not there yet do not remember that', async () => {
    const name = uniqueName('model');
    await using served = servedWith(ready);
    const service = new InferenceService({ models, served });
    await expect(service.predict(asking(name))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await register(name, constantModel(3));
    await expect(service.predict(asking(name))).resolves.toMatchObject({ predictions: [3] });
  });
});

describe('versions', () => {
  test('that were refused are passed over by whoever asks for the newest', async () => {
    const name = uniqueName('model');
    const [first, second] = [await register(name, constantModel(1)), await register(name, constantModel(2))];
    const third = await register(name, 'no pickle');
    await recordCheck(database.client, first, null, { refusal: null });
    await recordCheck(database.client, third, null, { refusal: 'it cannot be loaded' });
    await using served = servedWith(ready);
    const check = () => Promise.reject(new Error('all were tried'));
    await using servable = new ServableGate({ database: database.client, checks: { check } });
    const checks = (versions: readonly ServableKey[]) => servableVersions(database.client, versions);
    const service = () => new InferenceService({ models, served, servable, checks });
    const answered = async (version?: string) => {
      const { modelVersion, predictions } = await service().predict(asking(name, version));
      return [modelVersion, predictions];
    };
    // The second was not tried yet: until it was, the first is the newest that is known to work.
    for (const version of [undefined, 'latest']) expect(await answered(version)).toEqual(['1', [1]]);
    await recordCheck(database.client, second, null, { refusal: null });
    for (const version of [undefined, 'latest']) expect(await answered(version)).toEqual(['2', [2]]);
    await expect(answered('3')).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('that an alias is moved to and that do not load cost no request: the one before goes on, until one loads', {
    timeout: 240_000,
  }, async () => {
    const name = uniqueName('model');
    for (const pickle of [constantModel(1), 'no pickle', constantModel(3)]) await register(name, pickle);
    const move = (version: string) => call('POST', 'registered-models/alias', { name, alias: 'champion', version });
    await move('1');
    await using served = servedWith(ready);
    const log = logOf();
    const service = new InferenceService({ models, served, logger: log.logger });
    const value = async () => (await service.predict(asking(`${name}@champion`))).predictions[0];
    expect(await value()).toBe(1);
    await move('2');
    const failed = () => log.lines.filter(({ msg }) => msg === 'model.not_switched');
    // It is tried again, and again in vain.
    const answers = new Set<unknown>();
    await poll(
      async () => answers.add(await value()) && failed().length,
      (count) => count >= 2,
    );
    expect([...answers]).toEqual([1]);
    expect(failed()[0]).toMatchObject({ name, version: '2', reason: expect.stringContaining('could not be loaded') });
    await move('3');
    await poll(
      async () => answers.add(await value()) && log.lines,
      (lines) => lines.some(({ msg }) => msg === 'model.switched'),
    );
    expect(await value()).toBe(3);
    answers.delete(3);
    expect([...answers]).toEqual([1]);
  });
});

describe('loading a model', () => {
  test('that fails leaves no file, is shared by those who ask meanwhile, and is tried again', async () => {
    const version = await register(uniqueName('model'), 'no pickle');
    let prepared = 0;
    await using served = servedWith(async () => {
      prepared += 1;
      return TOOLCHAIN_ENVIRONMENT;
    });
    const outcomes = await Promise.allSettled([served.get(version), served.get(version)]);
    expect(outcomes).toMatchObject(outcomes.map(() => ({ status: 'rejected', reason: { code: 'UNAVAILABLE' } })));
    expect(prepared).toBe(1);
    expect(await filesLeft()).toEqual([]);
    await expect(served.get(version)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(prepared).toBe(2);
  });

  test.each([
    ['requirements that cannot be resolved', new AsgardError('INVALID_INPUT', 'no version of numpy')],
    ['a fault', new Error('no version of numpy')],
  ])('whose environment fails by %s is UNAVAILABLE and says why', async (_what, error) => {
    const version = await register(uniqueName('model'), constantModel(1));
    await using served = servedWith(() => Promise.reject(error));
    await expect(served.get(version)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `the environment of model ${version.name} version 1 could not be made: no version of numpy`,
    });
  });

  test('is done for two at a time, however many are asked for', async () => {
    const names = Array.from({ length: 5 }, () => uniqueName('model'));
    const versions = await Promise.all(names.map((name) => register(name, constantModel(1))));
    const release = Promise.withResolvers<void>();
    let started = 0;
    await using served = servedWith(async () => {
      started += 1;
      await release.promise;
      return TOOLCHAIN_ENVIRONMENT;
    });
    const loading = versions.map((version) => served.get(version));
    await poll(
      () => started,
      (count) => count === 2,
    );
    // Nothing else could start: both slots wait for what has not been released.
    await database.client.jobRun.count();
    expect(started).toBe(2);
    release.resolve();
    await Promise.all(loading);
    expect(started).toBe(5);
    expect(await filesLeft()).toHaveLength(5);
  });

  test('is called off when the models are disposed of, with no file or process left', async () => {
    const version = await register(uniqueName('model'), HANGS);
    const served = servedWith(ready);
    const loading = served.get(version);
    loading.catch(() => {});
    await poll(filesLeft, (names) => names.length === 1);
    await served[Symbol.asyncDispose]();
    await expect(loading).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await filesLeft()).toEqual([]);
  });

  test('whose environment is being made is called off too, and so are those that wait for their turn', async () => {
    const versions = await Promise.all([1, 2, 3].map((value) => register(uniqueName('model'), constantModel(value))));
    let building = 0;
    const served = servedWith(({ signal }) => {
      building += 1;
      return new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason));
      });
    });
    const outcomes = Promise.allSettled(versions.map((version) => served.get(version)));
    await poll(
      () => building,
      (count) => count === 2,
    );
    await served[Symbol.asyncDispose]();
    expect(await outcomes).toMatchObject(versions.map(() => ({ reason: { code: 'UNAVAILABLE' } })));
    expect(building).toBe(2);
  });

  test('is done before anybody asks for what is to be preloaded, by its alias; what is not there keeps nothing else', async () => {
    const name = uniqueName('model');
    await register(name, constantModel(1));
    await call('POST', 'registered-models/alias', { name, alias: 'champion', version: '1' });
    await using served = servedWith(ready);
    const models = [
      { name: uniqueName('none'), alias: 'champion' },
      { name, alias: 'nobody' },
      { name, alias: 'champion' },
    ];
    const { signal } = new AbortController();
    const gate = { pass: async () => {} };
    await preloadModels({ models, served, gate, mlflow: client, logger: pino({ level: 'silent' }), signal });
    expect(served.list().length).toBe(1);
  });

  test('before anybody asks leaves out what was refused', async () => {
    const name = uniqueName('model');
    const refused = await register(name, constantModel(1));
    await recordCheck(database.client, refused, null, { refusal: 'it raises' });
    await call('POST', 'registered-models/alias', { name, alias: 'champion', version: '1' });
    await using served = servedWith(ready);
    const check = () => Promise.reject(new Error('it was tried already'));
    await using gate = new ServableGate({ database: database.client, checks: { check } });
    const log = logOf();
    const models = [{ name, alias: 'champion' }];
    const { signal } = new AbortController();
    await preloadModels({ models, served, gate, mlflow: client, logger: log.logger, signal });
    expect(served.list()).toEqual([]);
    expect(log.lines).toMatchObject([{ msg: 'model.not_preloaded', reason: expect.stringContaining('it raises') }]);
  });

  test('ends the one that was used least recently when there is no room for both, but none with requests', async () => {
    const sleeps = modelPickle(
      'import time, types\nmodel = types.SimpleNamespace(predict=lambda _: [time.sleep(600)])',
    );
    const [busy, idle, next] = await Promise.all(
      [sleeps, constantModel(1), constantModel(2)].map((pickle) => register(uniqueName('model'), pickle)),
    );
    if (busy === undefined || idle === undefined || next === undefined) throw new Error('not registered');
    await using served = servedWith(ready, 1);
    const request = { inputs: { x: [1] }, return_probabilities: false };
    const first = await served.get(busy);
    const answer = first.predict(request);
    answer.catch(() => {}); // nobody waits for it
    const second = await served.get(idle);
    const third = await served.get(next);
    // At once: as the busy one alone takes more than there may be, the next look, some seconds later, ends what is idle by then.
    expect([first, second, third].map(({ isEnded }) => isEnded)).toEqual([false, true, false]);
    expect(served.list()).toHaveLength(2);
    await second.ended;
    await expect((await served.get(idle)).predict(request)).resolves.toMatchObject({ predictions: [1] });
  });
});
