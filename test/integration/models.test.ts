import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { nearestNames } from '../../src/models/nearest-names.ts';
import { ModelService } from '../../src/models/service.ts';
import { modelVersionKey, parseModelVersionKey } from '../../src/models/version-key.ts';
import { type MlflowForTests, runScript, startMlflow } from '../support/mlflow-for-tests.ts';

let server: MlflowForTests;
let client: MlflowClient;
let models: ModelService;
let paths: string[] = [];
/** The run that holds the pickle, and the logged model of MLflow 3. */
let runId = '';
let modelId = '';

const SCRIPT = `
import os, pickle, tempfile, mlflow, mlflow.sklearn
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.pkl")
    with open(path, "wb") as file:
        pickle.dump(model, file)
    mlflow.log_artifact(path, artifact_path="model")
    info = mlflow.sklearn.log_model(model, name="linear", serialization_format="cloudpickle", pip_requirements=["scikit-learn"])
print(run.info.run_id, info.model_id)
`;

beforeAll(async () => {
  server = await startMlflow();
  client = new MlflowClient({ baseUrl: () => server.url, onRequest: ({ path }) => void paths.push(path) });
  models = new ModelService(client);
  const [line = ''] = await runScript(SCRIPT, { trackingUri: server.url });
  [runId = '', modelId = ''] = line.split(' ');
});

beforeEach(() => {
  paths = [];
});

afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

describe('registering', () => {
  it('makes a pickle among a run’s artifacts a version that any client can download', async () => {
    const version = await models.register({ name: 'pickled', source: `runs:/${runId}/model`, tags: { by: 'test' } });
    expect(version).toMatchObject({ version: '1', runId, status: 'READY', tags: { by: 'test' } });
    const lines = await runScript(
      `
import os, pickle, mlflow
folder = mlflow.artifacts.download_artifacts("models:/pickled/1")
with open(os.path.join(folder, "model.pkl"), "rb") as file:
    print(pickle.load(file).predict([[3.0]])[0])`,
      { trackingUri: server.url },
    );
    expect(Number(lines[0])).toBeCloseTo(6);
  });

  it('makes a logged model of MLflow 3 a version that pyfunc loads', async () => {
    const version = await models.register({ name: 'logged', source: `models:/${modelId}`, description: 'of a test' });
    expect(version).toMatchObject({ version: '1', runId, status: 'READY', description: 'of a test' });
    const lines = await runScript(
      `
import mlflow
print(mlflow.pyfunc.load_model("models:/logged/1").predict([[3.0]])[0])
print(mlflow.get_logged_model("${modelId}").tags["mlflow.modelVersions"])`,
      { trackingUri: server.url },
    );
    expect(Number(lines[0])).toBeCloseTo(6);
    expect(lines[1]).toContain('"name": "logged"');
  });

  it('gives every one of ten concurrent registrations of a new name a version of its own', async () => {
    const source = `models:/${modelId}`;
    const made = await Promise.all(Array.from({ length: 10 }, () => models.register({ name: 'raced', source })));
    expect(made.map(({ version }) => Number(version)).toSorted((a, b) => a - b)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
  });

  it('says what is wrong with a name or a source', async () => {
    await expect(models.register({ name: 'a/b', source: `models:/${modelId}` })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
    await expect(models.register({ name: 'x', source: 'runs:/nothing/model' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

describe('finding', () => {
  it('names similar models when there is none of the name', async () => {
    await expect(models.get('pickeld')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'there is no model pickeld; similar names: pickled',
    });
    await expect(models.latestVersion('logge')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(models.get('a/b')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each(['raced\0', '\ud800', 'x'.repeat(1000)])('knows no model of a name that none can have', async (name) => {
    const ways = [
      models.get(name),
      models.latestVersion(name),
      models.versions(name, { first: 1 }),
      models.getVersion(name, '1'),
      models.getVersionByAlias(name, 'champion'),
    ];
    for (const { reason } of (await Promise.allSettled(ways)) as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ code: 'NOT_FOUND', message: 'there is no model of this name' });
    }
    expect(paths).toEqual([]);
  });

  it('names the versions that exist when there is none of the number', async () => {
    for (const version of ['11', '0', 'abc', '99999999999', "1' OR '1'='1"]) {
      await expect(models.getVersion('raced', version)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: `model raced has no version ${version}: it has 10, 9, 8, 7, 6, 5, 4, 3, 2, 1`,
      });
    }
    await client.createRegisteredModel('empty');
    await expect(models.getVersion('empty', '1')).rejects.toMatchObject({
      message: 'model empty has no version 1: it has none yet',
    });
    await expect(models.latestVersion('empty')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(models.getVersion('nobody', '1')).rejects.toMatchObject({
      message: expect.stringContaining('there is no model nobody'),
    });
  });

  it('takes the highest number as the latest version, in one request', async () => {
    expect((await models.latestVersion('raced')).version).toBe('10');
    expect(paths).toHaveLength(1);
    expect((await models.get('raced')).latestVersions[0]?.version).toBe('10');
  });

  it('pages through versions and models', async () => {
    const first = await models.versions('raced', { first: 6 });
    const second = await models.versions('raced', { first: 6, after: first.nextPageToken ?? '' });
    expect([...first.items, ...second.items].map(({ version }) => version)).toEqual([
      '10',
      '9',
      '8',
      '7',
      '6',
      '5',
      '4',
      '3',
      '2',
      '1',
    ]);
    expect(second.nextPageToken).toBeNull();
    expect(await models.count()).toBe((await models.list({ first: 100 })).items.length);
  });

  it('finds many models, and many versions, in one request each', async () => {
    const found = await models.byNames(['raced', 'nobody', 'pickled']);
    expect(found.map((model) => model?.name ?? null)).toEqual(['raced', null, 'pickled']);
    expect(paths).toHaveLength(1);
    const versions = await models.versionsByKeys([
      { name: 'raced', version: '3' },
      { name: 'pickled', version: '1' },
      { name: 'raced', version: '12' },
      { name: 'raced', version: 'x' },
      { name: 'raced', version: '10' },
    ]);
    expect(versions.map((version) => version && `${version.name} ${version.version}`)).toEqual([
      'raced 3',
      'pickled 1',
      null,
      null,
      'raced 10',
    ]);
    expect(paths).toHaveLength(2);
    expect(await models.versionsByKeys([{ name: 'raced', version: 'x' }])).toEqual([null]);
  });
});

it('the newest versions of each model are one search, and one more for those that the others crowd out', async () => {
  const numbersOf = async (names: string[], limit: number) =>
    (await models.newestVersionsOfEach(names, limit)).map((list) =>
      list.map(({ name, version }) => `${name} ${version}`),
    );
  expect(await numbersOf(['pickled', 'a/b', 'raced', 'nobody'], 3)).toEqual([
    ['pickled 1'],
    [],
    ['raced 10', 'raced 9', 'raced 8'],
    [],
  ]);
  expect(paths).toHaveLength(1);
  paths = [];
  expect(await numbersOf(['pickled', 'raced'], 2)).toEqual([['pickled 1'], ['raced 10', 'raced 9']]);
  expect(paths).toHaveLength(2);
});

it('a version’s key says its name and number again, whatever the name holds', () => {
  for (const name of ['churn', 'a/b', '/', '3/4']) {
    expect(parseModelVersionKey(modelVersionKey(name, '12'))).toEqual({ name, version: '12' });
  }
});

it('similar names are those within a few letters, the nearest first', () => {
  const names = ['churn_predictor', 'churn_prediction', 'fraud', 'CHURN', 'x'];
  expect(nearestNames('churn_predictr', names, 3)).toEqual(['churn_predictor', 'CHURN', 'churn_prediction']);
  expect(nearestNames('weather', names, 3)).toEqual([]);
  expect(nearestNames('', names, 3)).toEqual([]);
});
