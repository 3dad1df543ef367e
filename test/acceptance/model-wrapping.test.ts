import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type EndedJob, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url, mlflowUrl, python } = inject('platform');
const jobs = new JobsForTests();
const name = uniqueName('wrapped');
const NAMES = ['joblib', 'root', 'file'].map((what) => `${name}-${what}`);

/** Saves a forest where the platform looks for none, and registers it itself: by joblib, at the root, and as one file. */
const SCRIPT = `
import os, pickle, joblib, mlflow, pandas
from sklearn.ensemble import RandomForestClassifier
frame = pandas.DataFrame({"age": [20, 30, 40, 50] * 10, "visits": [1, 2, 3, 4] * 10})
model = RandomForestClassifier(n_estimators=10, random_state=42).fit(frame, ["stays", "stays", "leaves", "leaves"] * 10)
joblib.dump(model, "churn.joblib", compress=3)
with open("model.pkl", "wb") as file:
    pickle.dump(model, file)
with open("requirements.txt", "w") as file:
    file.write("# the user's own\\n")
client = mlflow.MlflowClient()
with mlflow.start_run() as run:
    mlflow.log_artifact("churn.joblib", artifact_path="saved")
    mlflow.log_artifact("model.pkl")
    mlflow.log_artifact("requirements.txt")
    for name, source in {"joblib": "/saved", "root": "", "file": "/model.pkl"}.items():
        name = os.environ["ASGARD_MODEL_NAME"] + "-" + name
        client.create_registered_model(name)
        client.create_model_version(name, run.info.artifact_uri + source, run.info.run_id)
`;

const ROWS = { age: [20, 50], visits: [1, 4] };
const PREDICTIONS = ['stays', 'leaves'];

let ended: EndedJob;
beforeAll(async () => {
  ended = await jobs.run(SCRIPT, { modelName: name });
}, JOB_LIMIT_MS);
afterAll(() => jobs[Symbol.asyncDispose]());

test('what joblib wrote, a pickle at the root, and one that is all of a version pass the gate and are served', async () => {
  const said = JSON.stringify(ended.output.slice(-5));
  const checks = ended.of('ModelChecked');
  expect(checks.map(({ modelName, refusal }) => [modelName, refusal]).toSorted(), said).toEqual(
    NAMES.map((each) => [each, null]).toSorted(),
  );
  for (const modelName of NAMES) {
    const answer = await jobs.client.predict({ modelName, inputs: ROWS });
    expect(answer.predictions, modelName).toEqual(PREDICTIONS);
  }
});

async function runOf(model: string): Promise<string> {
  const [version] = await Array.fromAsync(jobs.client.allModelVersions(model));
  if (version?.runId == null) throw new Error(`version 1 of ${model} has no run`);
  return version.runId;
}

/** In the environment that it was trained in, without anything of the platform's. */
async function loadedByMlflow(model: string) {
  const hash = ended.job.environmentHash ?? '';
  const program = `
import json, mlflow, pandas, sys
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[1]}/1")
requirements = open(mlflow.pyfunc.get_model_dependencies(f"models:/{sys.argv[1]}/1")).read()
rows = pandas.DataFrame(json.loads(sys.argv[2]))
print(json.dumps({"predictions": model.predict(rows).tolist(), "run": model.metadata.run_id, "requirements": requirements}))
`;
  const interpreter = join(dirname(python), '..', '..', 'environments', hash, 'bin', 'python');
  const { stdout } = await promisify(execFile)(interpreter, ['-c', program, model, JSON.stringify(ROWS)], {
    env: { PATH: process.env['PATH'], MLFLOW_TRACKING_URI: mlflowUrl },
    timeout: 100_000,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

test.each(['joblib', 'root'])('by MLflow’s own client alone it is loaded: %s', { timeout: 120_000 }, async (what) => {
  const { predictions, run, requirements } = await loadedByMlflow(`${name}-${what}`);
  expect([predictions, run]).toEqual([PREDICTIONS, await runOf(`${name}-${what}`)]);
  // A file that the run had there is the run's.
  if (what === 'root') expect(requirements).toBe("# the user's own\n");
  else expect(requirements).toMatch(/^joblib==\d/m);
});

test('nothing is put below a version that is one file', async () => {
  const runId = await runOf(`${name}-file`);
  const answer = await fetch(`${url}/api/2.0/mlflow/artifacts/list?run_id=${runId}`);
  const { files } = (await answer.json()) as { files: { path: string; is_dir: boolean }[] };
  expect(files.map(({ path, is_dir: isFolder }) => (isFolder ? `${path}/` : path)).toSorted()).toEqual(
    ['MLmodel', 'conda.yaml', 'model.pkl', 'python_env.yaml', 'requirements.txt', 'saved/', 'asgard/'].toSorted(),
  );
});
