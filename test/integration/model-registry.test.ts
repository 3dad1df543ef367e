import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelService } from '../../src/models/service.ts';
import { type MlflowForTests, runScript, startMlflow } from '../support/mlflow-for-tests.ts';
import { uniqueName } from '../support/unique-name.ts';

let server: MlflowForTests;
let client: MlflowClient;
let models: ModelService;
let runs: Record<'logged' | 'noted' | 'pickled' | 'empty' | 'deleted', string>;
let newestLogged = '';

/** Runs that saved a model in each of the ways, and some that did not. */
const SCRIPT = `
import json, os, pickle, tempfile, mlflow
class Seven(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [7] * len(model_input)
def pickled(path):
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "model.pkl")
        with open(name, "wb") as file:
            pickle.dump(7, file)
        mlflow.log_artifact(name, artifact_path=path)
runs = {}
with mlflow.start_run() as run:
    for name in ("first", "second"):
        info = mlflow.pyfunc.log_model(python_model=Seven(), name=name, pip_requirements=["mlflow"])
    pickled("model")
    runs["logged"] = run.info.run_id
with mlflow.start_run() as run:
    pickled("elsewhere")
    # What MLflow 2's log_model leaves on its run.
    mlflow.set_tag("mlflow.log-model.history", json.dumps([{"artifact_path": "before"}, {"artifact_path": "elsewhere"}]))
    runs["noted"] = run.info.run_id
with mlflow.start_run() as run:
    pickled("model")
    mlflow.set_tag("mlflow.log-model.history", "no JSON")
    runs["pickled"] = run.info.run_id
with mlflow.start_run() as run:
    pickled("elsewhere")
    runs["empty"] = run.info.run_id
with mlflow.start_run() as run:
    pickled("model")
    runs["deleted"] = run.info.run_id
mlflow.delete_run(runs["deleted"])
print(json.dumps([runs, info.model_id]))
`;

beforeAll(async () => {
  server = await startMlflow();
  client = new MlflowClient({ baseUrl: () => server.url });
  models = new ModelService(client);
  const lines = await runScript(SCRIPT, { trackingUri: server.url });
  [runs, newestLogged] = JSON.parse(lines.at(-1) ?? '');
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

describe('the model of a run becomes a version:', () => {
  test('the newest logged model of MLflow 3, before a pickle', async () => {
    const modelName = uniqueName('logged');
    const version = await models.registerRun({
      modelName,
      runId: runs.logged,
      description: 'ünï\n"quoted"',
      tags: { team: 'data-science' },
    });
    expect(version).toMatchObject({
      name: modelName,
      version: '1',
      runId: runs.logged,
      status: 'READY',
      description: 'ünï\n"quoted"',
      tags: { team: 'data-science' },
    });
    expect(version.source).toContain(newestLogged);
  });

  test('the one that MLflow 2 noted last', async () => {
    const version = await models.registerRun({ modelName: uniqueName('noted'), runId: runs.noted, tags: {} });
    expect(version).toMatchObject({ version: '1', runId: runs.noted });
    expect(version.source).toMatch(new RegExp(`${runs.noted}/artifacts/elsewhere$`));
  });

  test('a pickle as the guide saves it, under a name of odd characters', async () => {
    const modelName = `it's 50% ünï ✅ ${uniqueName('pickled')}`;
    const version = await models.registerRun({ modelName, runId: runs.pickled, tags: {} });
    expect(version.source).toMatch(new RegExp(`${runs.pickled}/artifacts/model$`));
    expect(await models.get(modelName)).toMatchObject({ name: modelName, latestVersions: [{ version: '1' }] });
  });
});

test('a request that is repeated is answered with the version that it made, another makes another', async () => {
  const request = { modelName: uniqueName('repeated'), runId: runs.logged, description: 'first', tags: { a: '1' } };
  const first = await models.registerRun(request);
  expect(await models.registerRun(request)).toEqual(first);
  expect((await models.registerRun({ ...request, description: 'second' })).version).toBe('2');
  expect((await models.registerRun({ ...request, tags: { a: '2' } })).version).toBe('3');
  expect((await models.registerRun({ ...request, description: undefined, tags: {} })).version).toBe('4');
  expect((await models.registerRun({ ...request, runId: runs.pickled })).version).toBe('5');
  expect(await models.registerRun(request)).toEqual(first);
});

describe('nothing is registered, and no name is made, for', () => {
  async function refusalOf(runId: string): Promise<unknown> {
    const modelName = uniqueName('refused');
    const refusal = await models.registerRun({ modelName, runId, tags: {} }).then(
      () => null,
      (error: unknown) => error,
    );
    expect(await models.byNames([modelName])).toEqual([null]);
    return refusal;
  }

  test('a run that does not exist or was deleted', async () => {
    const message = expect.stringMatching(/^run_id: /);
    expect(await refusalOf('0'.repeat(32))).toMatchObject({ code: 'NOT_FOUND', message });
    expect(await refusalOf(runs.deleted)).toMatchObject({ code: 'NOT_FOUND', message });
  });

  test('a run that has saved no model', async () => {
    const issues = [{ path: ['runId'], message: expect.stringContaining('has saved no model'), type: 'no_model' }];
    expect(await refusalOf(runs.empty)).toMatchObject({ code: 'INVALID_INPUT', issues });
  });
});

test('a name that no model can have is not asked for', async () => {
  for (const name of ['a\0', '\ud800', 'x'.repeat(5000), 'a/b']) {
    await expect(models.get(name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  }
});
