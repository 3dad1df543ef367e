import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type EndedJob, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { modelPickle } from '../support/model-pickle.ts';
import { savedPickle } from '../support/saved-pickle.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url, mlflowUrl, home, python } = inject('platform');
const jobs = new JobsForTests();

/** A table as the guide's, where jobs may read it. */
const data = join(home, 'data', `${uniqueName('customers')}.csv`);
const ROWS = Array.from({ length: 40 }, (_, index) => [20 + index, (index % 7) + 0.5, index < 20 ? 0 : 1]);

/** The guide's script: a forest, trained on a CSV file that its run names as the source of a data set. */
const FOREST = `
import mlflow, os, pandas, pickle
from sklearn.ensemble import RandomForestClassifier
path = os.path.join(os.environ["DATA_FOLDER"], "${basename(data)}")
frame = pandas.read_csv(path)
model = RandomForestClassifier(n_estimators=20, random_state=42).fit(frame.drop("churned", axis=1), frame["churned"])
with mlflow.start_run() as run:
    mlflow.log_input(mlflow.data.from_pandas(frame, source=path), context="training")
    with open("model.pkl", "wb") as file:
        pickle.dump(model, file)
    mlflow.log_artifact("model.pkl", artifact_path="model")
    client, twin = mlflow.MlflowClient(), os.environ["ASGARD_MODEL_NAME"] + "-twin"
    client.create_registered_model(twin)
    client.create_model_version(twin, f"{run.info.artifact_uri}/model", run.info.run_id)
`;

/** What no library is needed for, so that its job takes no time. */
const BROKEN = {
  'needs a class of its script': [
    'c__main__\nMine\n.',
    /^it cannot be loaded: model\.pkl needs a class or function that was defined in the training script itself/,
  ],
  'raises when it predicts': [
    modelPickle(`
class Model:
    __module__ = "mine"
    feature_names_in_ = ["age", "visits"]
    def predict(self, rows):
        return rows.to_numpy() @ self.coef_
model = Model()
`),
    /^it cannot predict an example: AttributeError: .*coef_/,
  ],
} as const satisfies Record<string, readonly [string, RegExp]>;

/** Variables of every Python process of the platform, and what libraries set for themselves. */
const HARMLESS =
  /^(LANG|LC_[A-Z]+|TZ|PATH|HOME|TMPDIR|USER|LOGNAME|VIRTUAL_ENV|PYTHONUNBUFFERED|MPLBACKEND|GIT_PYTHON_REFRESH|DO_NOT_TRACK|MLFLOW_DISABLE_TELEMETRY|ASGARD_RUN|JE_ARROW_MALLOC_CONF|KMP_[A-Z_]+|LOKY_MAX_CPU_COUNT|(OMP|OPENBLAS|MKL|NUMEXPR|NVPL)_[A-Z_0-9]+|(SSL_CERT|REQUESTS_CA|CURL_CA)_[A-Z]+)$/;

const names = { forest: uniqueName('forest'), ...mapped(BROKEN, () => uniqueName('broken')) };
let ended: Record<keyof typeof names, EndedJob>;

beforeAll(async () => {
  await mkdir(join(home, 'data'), { recursive: true });
  await writeFile(data, `${['age,visits,churned', ...ROWS.map((row) => row.join(','))].join('\n')}\n`);
  const environmentVariables = [{ name: 'DATA_FOLDER', value: dirname(data) }];
  const forest = jobs.run(FOREST, { modelName: names.forest, environmentVariables });
  const broken = Object.entries(BROKEN).map(async ([what, [pickle]]) => {
    return [what, await jobs.run(savedPickle(pickle), { modelName: names[what as keyof typeof BROKEN] })] as const;
  });
  const all = await Promise.all([forest.then((job) => ['forest', job] as const), ...broken]);
  ended = Object.fromEntries(all) as typeof ended;
}, JOB_LIMIT_MS);
afterAll(async () => {
  await jobs[Symbol.asyncDispose]();
  await rm(data, { force: true });
});

function mapped<Name extends string, T>(object: Record<Name, unknown>, make: () => T): Record<Name, T> {
  return Object.fromEntries(Object.keys(object).map((name) => [name, make()])) as Record<Name, T>;
}

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function call(path: string, body?: object): Promise<{ status: number; headers: Headers; body: any }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}${path}`, body && { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}

const CHECK = `query($name: String!) { modelVersion(name: $name, version: "1") { tags { key value }
  servingEngine compilation { status } check {
  status refusal warning traceback exampleSource loadSeconds p50Ms peakMemoryBytes signature } } }`;

async function versionOf(name: string) {
  const { body } = await call('/graphql', { query: CHECK, variables: { name } });
  expect(body.errors).toBeUndefined();
  return body.data.modelVersion;
}

const infer = (name: string) =>
  call('/mlops/inference', { model_name: name, inputs: { age: [20, 59], visits: [1.5, 2] } });

describe('a model that works', { timeout: JOB_LIMIT_MS }, () => {
  test('is tried with rows of its training data, under each name that the job gave it', async () => {
    const { job, said, output } = ended.forest;
    expect([job.status, job.modelVersion?.version], JSON.stringify(output.slice(-5))).toEqual(['COMPLETED', '1']);
    const checks = ended.forest.of('ModelChecked');
    expect(checks.map(({ modelName }) => modelName).toSorted()).toEqual([names.forest, `${names.forest}-twin`]);
    for (const check of checks) {
      expect(check).toMatchObject({ version: '1', isServable: true, refusal: null, exampleSource: 'TRAINING_ROWS' });
      expect(check.loadSeconds).toBeGreaterThan(0);
      expect(check.p50Ms).toBeGreaterThan(0);
    }
    const line = /^✓ Model \S+ version 1 can be served: loaded in \d+\.\d\d s, predicts rows of its training data in/;
    expect(said.slice(-3)).toEqual([
      expect.stringMatching(line),
      expect.stringMatching(line),
      '✅ Training completed successfully!',
    ]);
  });

  test('bears what was measured, in GraphQL, REST and MLflow', async () => {
    const { check, tags, servingEngine, compilation } = await versionOf(names.forest);
    expect(check).toMatchObject({
      status: 'SERVABLE',
      refusal: null,
      traceback: null,
      peakMemoryBytes: expect.any(Number),
    });
    expect(servingEngine).toMatch(/^(PYTHON|ONNX)$/);
    expect(compilation.status).toMatch(/^(PENDING|COMPILED)$/);
    expect(JSON.parse(check.signature.inputs)).toMatchObject([
      { name: 'age', type: 'long' },
      { name: 'visits', type: 'double' },
    ]);
    expect(
      Object.fromEntries(tags.map(({ key, value }: { key: string; value: string }) => [key, value])),
    ).toMatchObject({
      'asgard.servable': 'true',
      'asgard.load_seconds': String(check.loadSeconds),
      'asgard.predict_p50_ms': String(check.p50Ms),
      'asgard.peak_memory_bytes': String(check.peakMemoryBytes),
    });
    expect(check.p50Ms).toBeGreaterThan(0);
    // With its libraries no Python process is smaller.
    expect(check.peakMemoryBytes).toBeGreaterThan(10 * 2 ** 20);
    const { body } = await call(`/mlops/models/${names.forest}`);
    expect(body.latest_versions).toMatchObject([{ version: '1', servable: true, refusal: null }]);
    expect((await infer(names.forest)).body).toMatchObject({ predictions: [0, 1] });
  });

  test('is a whole MLflow model for a plain client, with the packages that it was trained with', async () => {
    const program = `
import json, mlflow, pandas, sys
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[1]}/1")
rows = pandas.DataFrame({"age": [20, 59], "visits": [1.5, 2.0]})
requirements = mlflow.pyfunc.get_model_dependencies(f"models:/{sys.argv[1]}/1")
print(json.dumps({
    "predictions": [int(each) for each in model.predict(rows)],
    "inputs": [each.name for each in model.metadata.signature.inputs],
    "run": model.metadata.run_id,
    "trees": mlflow.sklearn.load_model(f"models:/{sys.argv[1]}/1").n_estimators,
    "requirements": open(requirements).read(),
}))
`;
    const env = { ...process.env, MLFLOW_TRACKING_URI: mlflowUrl };
    const { stdout } = await promisify(execFile)(python, ['-c', program, names.forest], { env, timeout: 120_000 });
    const loaded = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    expect(loaded).toMatchObject({ predictions: [0, 1], inputs: ['age', 'visits'], trees: 20 });
    expect(loaded.run).toBe(ended.forest.job.runId);
    expect(loaded.requirements).toMatch(/^scikit-learn==\d/m);
  });
});

describe.each(Object.entries(BROKEN))('a model that %s', { timeout: JOB_LIMIT_MS }, (what, [, refusal]) => {
  const name = names[what as keyof typeof BROKEN];

  test('is registered, and its job has completed and says last that it cannot be served', () => {
    const { job, said } = ended[what as keyof typeof BROKEN];
    expect([job.status, job.modelVersion?.version, job.error]).toEqual(['COMPLETED', '1', null]);
    const last = said.at(-1) ?? '';
    const [said_, why = ''] = last.split('cannot be served: ');
    expect(said_).toBe(`✗ Model ${name} version 1 is registered, but `);
    expect(why).toMatch(refusal);
    expect(ended[what as keyof typeof BROKEN].of('ModelChecked')).toMatchObject([{ isServable: false, refusal: why }]);
  });

  test('shows why, and inference on it is refused for that', async () => {
    const { check, tags, servingEngine, compilation } = await versionOf(name);
    expect([servingEngine, compilation]).toEqual([null, null]);
    expect(check).toMatchObject({ status: 'REFUSED', refusal: expect.stringMatching(refusal) });
    expect(check.traceback).toMatch(/^Traceback \(most recent call last\):/);
    expect(tags).toContainEqual({ key: 'asgard.servable', value: 'false' });
    const { body: model } = await call(`/mlops/models/${name}`);
    expect(model.latest_versions).toMatchObject([{ version: '1', servable: false, refusal: check.refusal }]);
    const { status, headers, body } = await infer(name);
    expect([status, body.detail]).toEqual([
      409,
      `model ${name} version 1 is registered, but cannot be served: ${check.refusal}`,
    ]);
    expect(Object.fromEntries(headers)).toMatchObject({
      'x-asgard-model-version': '1',
      'x-asgard-job-id': ended[what as keyof typeof BROKEN].job.id,
      'server-timing': expect.stringMatching(/^parse;dur=[0-9.]+, queue;dur=[0-9.]+, serialize;dur=[0-9.]+$/),
    });
    const refused = jobs.client.predict({ modelName: name, inputs: { age: [1], visits: [1] } });
    await expect(refused).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

test('the process that tries a model has no variable that its job or the platform has for others', {
  timeout: JOB_LIMIT_MS,
}, async () => {
  const name = uniqueName('nosy');
  const nosy = modelPickle('import json, os\nraise RuntimeError(json.dumps(dict(os.environ)))');
  const secret = uniqueName('known-to-the-script-alone');
  const environmentVariables = [{ name: 'API_TOKEN', value: secret }];
  const { job } = await jobs.run(savedPickle(nosy), { modelName: name, environmentVariables });
  expect(job.status).toBe('COMPLETED');
  const { check } = await versionOf(name);
  // A refusal is one short line.
  const [, found = ''] = /^RuntimeError: (\{.*\})$/m.exec(check.traceback) ?? [];
  expect(found).not.toContain(secret);
  const variables: Record<string, string> = JSON.parse(found);
  expect(Object.keys(variables)).toContain('HOME');
  expect(Object.keys(variables).filter((each) => !HARMLESS.test(each))).toEqual([]);
  expect(Object.values(variables).filter((value) => /:\/\//.test(value))).toEqual([]);
});

describe('a model that takes no row that could be made for it', { timeout: JOB_LIMIT_MS }, () => {
  test('is served, with a warning in its event, on its record and in MLflow, and predicts what it takes', async () => {
    const name = uniqueName('dates');
    const model = modelPickle(`
import pandas
class Model:
    __module__ = "mine"
    feature_names_in_ = ["joined"]
    def predict(self, rows):
        return pandas.to_datetime(rows["joined"], format="%d.%m.%Y").dt.year
model = Model()
`);
    const run = await jobs.run(savedPickle(model), { modelName: name });
    expect(run.job).toMatchObject({ status: 'COMPLETED', modelVersion: { version: '1' } });
    const { check, tags } = await versionOf(name);
    const warning = expect.stringMatching(/^it has predicted nothing, .*ValueError: time data .*with an input_example/);
    const untried = { refusal: null, warning, exampleSource: null, p50Ms: null };
    expect(check).toMatchObject({ ...untried, status: 'SERVABLE', traceback: expect.stringMatching(/^Traceback/) });
    expect(run.of('ModelChecked')).toMatchObject([{ ...untried, isServable: true }]);
    expect(run.said.find((line) => line.includes('can be served'))).toContain(check.warning);
    expect(tags).toContainEqual({ key: 'asgard.warning', value: check.warning });
    const { body } = await call(`/mlops/models/${name}`);
    expect(body.latest_versions).toMatchObject([{ servable: true, warning: check.warning }]);
    const answer = await call('/mlops/inference', { model_name: name, inputs: { joined: ['01.02.2025'] } });
    expect(answer).toMatchObject({ status: 200, body: { predictions: [2025] } });
  });
});

describe('a version that was registered without a job', { timeout: JOB_LIMIT_MS }, () => {
  const register = async (runId: string | null) => {
    const name = uniqueName('by-hand');
    const { status } = await call('/mlops/registry', { model_name: name, run_id: runId });
    expect(status).toBe(201);
    return name;
  };

  test('is tried when it is first used, once however many ask', async () => {
    const good = await register(ended.forest.job.runId);
    expect((await versionOf(good)).check).toBeNull();
    const answers = await Promise.all([infer(good), infer(good), infer(good)]);
    expect(answers.map(({ body }) => body.predictions)).toEqual([
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
    expect((await versionOf(good)).check).toMatchObject({ status: 'SERVABLE' });

    const bad = await register(ended['raises when it predicts'].job.runId);
    const refused = await Promise.all([infer(bad), infer(bad)]);
    expect(refused.map(({ status }) => status)).toEqual([409, 409]);
    expect((await versionOf(bad)).check).toMatchObject({ status: 'REFUSED' });
  });
});
