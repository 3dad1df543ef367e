import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type EndedJob, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { CLASSIFIER_SCRIPT, pickleScript, TEXT_MODEL } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const DONE = '✅ Training completed successfully!';
/** Between the two: the model was tried. */
const SERVABLE = expect.stringMatching(/^✓ Model \S+ version 1 can be served: /);

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');
const other = uniqueName('other');
const own = uniqueName('own');

/** One job a case, all handed in at once: they run side by side while each test waits for its own. */
const scripts = {
  metrics: `
import math, mlflow
with mlflow.start_run(run_name="first"):
    mlflow.log_params({"depth": 3, "kind": "forest"})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"accuracy": 0.5, "lift": -2.25}, step=7)
    mlflow.log_metric("odd", math.nan)
    mlflow.log_metric("odd", math.inf, step=1)
    print("run", mlflow.active_run().info.run_id)
print("after the run")
`,
  classifier: CLASSIFIER_SCRIPT,
  pickle: pickleScript(2),
  withoutRun: `${TEXT_MODEL}
info = log("no run")
print("run", info.run_id, "source", info.model_uri)
`,
  underItsName: `${TEXT_MODEL}
import os
with mlflow.start_run() as run:
    log("mine", registered_model_name=os.environ["ASGARD_MODEL_NAME"])
    print("run", run.info.run_id)
`,
  underAnotherName: `${TEXT_MODEL}
with mlflow.start_run() as run:
    log("other", registered_model_name="${other}")
    print("run", run.info.run_id)
`,
  twoModels: `${TEXT_MODEL}
with mlflow.start_run():
    log("first", name="first_model")
with mlflow.start_run() as run:
    log("second", name="second_model")
    print("run", run.info.run_id)
with mlflow.start_run():
    mlflow.log_metric("a", 1)
`,
  noModel: `
import mlflow
with mlflow.start_run():
    mlflow.log_metric("a", 1)
with mlflow.start_run() as run:
    mlflow.log_metric("b", 2)
    mlflow.log_text("a report", "report.txt")
    print("run", run.info.run_id)
`,
  modelThenFailure: `${TEXT_MODEL}
with mlflow.start_run() as run:
    log("half")
    print("run", run.info.run_id, flush=True)
    raise RuntimeError("too late")
`,
  otherExperiment: `
import mlflow
mlflow.set_experiment("${other}")
with mlflow.start_run() as run:
    mlflow.log_metric("a", 1)
    print("run", run.info.run_id)
`,
} as const;

const tags = [
  { key: 'team', value: 'data-science' },
  { key: 'note', value: 'ünïcode "quoted"' },
];

const ids = new Map<string, string>();
beforeAll(async () => {
  for (const [name, script] of Object.entries(scripts)) {
    ids.set(name, await jobs.submit(script, { tags, ...(name === 'underItsName' ? { modelName: own } : {}) }));
  }
});

async function jobOf(name: keyof typeof scripts): Promise<EndedJob> {
  return jobs.end(ids.get(name) ?? '');
}

/** The run that the script named in its output. */
function printedRun({ stdout }: EndedJob): string | undefined {
  return stdout.flatMap((line) => /^run ([0-9a-f]{32})/.exec(line)?.[1] ?? [])[0];
}

async function versionsOf(name: string): Promise<string[]> {
  const { items } = await jobs.client.models({ search: name });
  const listed = items.find((model) => model.name === name);
  return listed?.latestVersion == null ? [] : [listed.latestVersion.version];
}

describe('a script that logs to MLflow', { timeout: JOB_LIMIT_MS }, () => {
  test('has its metrics as events, each with run, step and value, among its log lines', async () => {
    const ended = await jobOf('metrics');
    const runId = printedRun(ended);
    expect(runId).toBeDefined();
    const metrics = ended.of('MetricLogged');
    expect(metrics.every((metric) => metric.runId === runId)).toBe(true);
    expect(metrics.filter(({ key }) => key === 'loss').map(({ step, value }) => [step, value])).toEqual([
      [0, 1],
      [1, 0.5],
      [2, 1 / 3],
      [3, 0.25],
      [4, 0.2],
    ]);
    expect(metrics.find(({ key }) => key === 'lift')).toMatchObject({ step: 7, value: -2.25, text: '-2.25' });
    expect(metrics.filter(({ key }) => key === 'odd').map(({ value, text }) => [value, text])).toEqual([
      [null, 'NaN'],
      [null, 'Infinity'],
    ]);
    const after = ended.output.find(({ text }) => text === 'after the run');
    expect(metrics.every(({ sequence }) => sequence < (after?.sequence ?? 0))).toBe(true);
  });

  test('has its run with parameters, metrics and experiment in the API', async () => {
    const { job } = await jobOf('metrics');
    expect(job.run).toMatchObject({ id: job.runId, name: 'first', status: 'FINISHED' });
    const params = Object.fromEntries((job.run?.params ?? []).map(({ key, value }) => [key, value]));
    expect(params).toEqual({ depth: '3', kind: 'forest' });
    const metrics = Object.fromEntries((job.run?.metrics ?? []).map(({ key, value }) => [key, value]));
    expect(metrics).toMatchObject({ loss: 0.2, accuracy: 0.5, lift: -2.25 });
    const answer = await fetch(`${url}/api/2.0/mlflow/runs/get?run_id=${job.runId}`);
    const { run } = await answer.json();
    const experiment = await fetch(`${url}/api/2.0/mlflow/experiments/get?experiment_id=${run.info.experiment_id}`);
    await expect(experiment.json()).resolves.toMatchObject({ experiment: { name: job.experimentName } });
  });

  test('may choose another experiment', async () => {
    const ended = await jobOf('otherExperiment');
    expect(ended.job).toMatchObject({ status: 'COMPLETED', runId: printedRun(ended) });
  });
});

describe('after exit 0', { timeout: JOB_LIMIT_MS }, () => {
  test('a model of MLflow 3 becomes a version of the model name, and the log says so', async () => {
    const ended = await jobOf('classifier');
    const runId = printedRun(ended);
    expect(ended.job).toMatchObject({ status: 'COMPLETED', runId });
    expect(ended.job.modelVersion).toMatchObject({ name: ended.job.modelName, version: '1', status: 'READY', runId });
    expect(ended.job.modelVersion?.source).toMatch(/^models:\/m-/);
    expect(ended.of('ModelRegistered')).toMatchObject([
      { modelName: ended.job.modelName, version: '1', registeredBy: 'PLATFORM' },
    ]);
    expect(ended.said).toEqual(['✓ Model artifact saved to MLflow (model)', SERVABLE, DONE]);
  });

  test("the guide's pickle becomes one, with its true path in the log", async () => {
    const ended = await jobOf('pickle');
    expect(ended.job).toMatchObject({ status: 'COMPLETED', runId: printedRun(ended) });
    expect(ended.job.modelVersion).toMatchObject({ version: '1', runId: printedRun(ended) });
    expect(ended.said).toEqual(['✓ Model artifact saved to MLflow (model/model.pkl)', SERVABLE, DONE]);
    expect(await jobs.client.logText(ended.job.id)).toMatch(new RegExp(`${DONE}\n$`));
  });

  test("the job's tags and its id are on its run and on its version", async () => {
    const { job } = await jobOf('pickle');
    const expected = [...tags, { key: 'asgard.job_id', value: job.id }];
    expect(job.tags).toEqual(expect.arrayContaining(tags));
    expect(job.modelVersion?.tags).toEqual(expect.arrayContaining(expected));
    const answer = await fetch(`${url}/api/2.0/mlflow/runs/get?run_id=${job.runId}`);
    const { run } = await answer.json();
    expect(run.data.tags).toEqual(expect.arrayContaining(expected));
  });

  test('the lock of its environment is an artifact of its run', async () => {
    const { job } = await jobOf('pickle');
    const { run } = await (await fetch(`${url}/api/2.0/mlflow/runs/get?run_id=${job.runId}`)).json();
    const folder = `${run.info.experiment_id}/${job.runId}/artifacts`;
    const file = `${url}/api/2.0/mlflow-artifacts/artifacts/${folder}/asgard/requirements.lock.txt`;
    const text = await (await fetch(file)).text();
    expect(text.split('\n', 1)).toEqual([
      expect.stringMatching(new RegExp(`^# Python 3\\.\\d+\\.\\d+, environment ${job.environmentHash}$`)),
    ]);
    expect(text).toMatch(/^mlflow==\d/m);
  });

  test('a model that was logged without a run becomes one', async () => {
    const ended = await jobOf('withoutRun');
    expect(ended.job).toMatchObject({ status: 'COMPLETED', runId: null });
    expect(ended.job.modelVersion).toMatchObject({ version: '1', status: 'READY', runId: null });
    expect(ended.said.at(-1)).toBe(DONE);
    const prediction = await jobs.client.predict({ modelName: ended.job.modelName, inputs: { x: [1] } });
    expect(prediction.predictions).toEqual(['no run']);
  });

  test('a model that the script registered under the model name is not registered again', async () => {
    const ended = await jobOf('underItsName');
    expect(ended.job).toMatchObject({ status: 'COMPLETED', runId: printedRun(ended) });
    expect(ended.job.modelVersion).toMatchObject({ name: own, version: '1' });
    expect(ended.of('ModelRegistered')).toMatchObject([{ modelName: own, version: '1', registeredBy: 'SCRIPT' }]);
    expect(await versionsOf(own)).toEqual(['1']);
    expect(ended.said.at(-1)).toBe(DONE);
  });

  test('a model that the script registered under another name is registered under the model name too', async () => {
    const ended = await jobOf('underAnotherName');
    expect(ended.job.modelVersion).toMatchObject({ name: ended.job.modelName, version: '1' });
    expect(ended.of('ModelRegistered')).toMatchObject([
      { modelName: other, version: '1', registeredBy: 'SCRIPT' },
      { modelName: ended.job.modelName, version: '1', registeredBy: 'PLATFORM' },
    ]);
    expect(await versionsOf(other)).toEqual(['1']);
  });

  test('of two models the one that was saved last is registered, and the run is the one that logged it', async () => {
    const ended = await jobOf('twoModels');
    expect(ended.job).toMatchObject({ status: 'COMPLETED', runId: printedRun(ended) });
    expect(ended.job.modelVersion).toMatchObject({ version: '1', runId: printedRun(ended) });
    expect(ended.said[0]).toBe('✓ Model artifact saved to MLflow (second_model)');
    const prediction = await jobs.client.predict({ modelName: ended.job.modelName, inputs: { x: [1] } });
    expect(prediction.predictions).toEqual(['second']);
  });

  test('without a model the job is completed without a version, says why, and its run is the last one', async () => {
    const ended = await jobOf('noModel');
    expect(ended.job).toMatchObject({ status: 'COMPLETED', modelVersion: null, runId: printedRun(ended), error: null });
    expect(ended.of('ModelRegistered')).toEqual([]);
    expect(ended.said).toEqual([expect.stringMatching(/^No model was saved/), DONE]);
    expect(await versionsOf(ended.job.modelName)).toEqual([]);
  });

  test('without MLflow there is neither run nor version', async () => {
    const ended = await jobs.run('print("hello")\n');
    expect(ended.job).toMatchObject({ status: 'COMPLETED', runId: null, run: null, modelVersion: null });
    expect(ended.said.at(-1)).toBe(DONE);
  });
});

describe('after a failure', { timeout: JOB_LIMIT_MS }, () => {
  test('the model that was saved before is not registered, and the run is kept', async () => {
    const ended = await jobOf('modelThenFailure');
    expect(ended.job).toMatchObject({ status: 'FAILED', modelVersion: null, runId: printedRun(ended) });
    expect(ended.of('ModelRegistered')).toEqual([]);
    expect(ended.said).not.toContain(DONE);
    expect(await versionsOf(ended.job.modelName)).toEqual([]);
  });
});
