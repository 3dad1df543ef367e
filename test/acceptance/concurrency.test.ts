import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type EndedJob, Gate, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { uniqueName } from '../support/unique-name.ts';

const JOBS = 10;
/** As many run at once on the shared platform. */
const SLOTS = 4;

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');
const experimentName = uniqueName('crowded');
const modelName = uniqueName('crowded');

/**
 * Each logs its own number, as metric, parameter and model; none names its run or its version. The first ones wait for
 * each other where they would all find that there is no such experiment yet.
 */
const script = (gate: Gate) => `
${gate.python}
import pickle, mlflow
index = int(os.environ["INDEX"])
tell(f"ready {index}")
wait()
with mlflow.start_run() as run:
    mlflow.log_param("index", index)
    for step in range(5):
        mlflow.log_metric("index", index, step=step)
    with open("model.pkl", "wb") as file:
        pickle.dump({"index": index}, file)
    mlflow.log_artifact("model.pkl", artifact_path="model")
    print("run", run.info.run_id)
`;

describe(`${JOBS} jobs at once in one experiment, which is new, for one model, which is new`, {
  timeout: JOB_LIMIT_MS,
}, () => {
  let ended: EndedJob[];

  beforeAll(async () => {
    await using gate = await Gate.create();
    const ids = await Promise.all(
      Array.from({ length: JOBS }, (_, index) => {
        const environmentVariables = [{ name: 'INDEX', value: String(index) }];
        return jobs.submit(script(gate), { experimentName, modelName, environmentVariables });
      }),
    );
    await gate.told('ready ', SLOTS);
    await gate.open();
    ended = await Promise.all(ids.map((id) => jobs.end(id)));
  }, 2 * JOB_LIMIT_MS);

  test('all complete', () => {
    const failures = ended.filter(({ job }) => job.status !== 'COMPLETED');
    expect(failures.map(({ output }) => output.at(-1)?.text)).toEqual([]);
  });

  test('each has its own run, with its own number in it', () => {
    const printed = ended.map(({ stdout }) => stdout.find((line) => line.startsWith('run '))?.slice('run '.length));
    expect(ended.map(({ job }) => job.runId)).toEqual(printed);
    expect(new Set(printed).size).toBe(JOBS);
    for (const [index, { job }] of ended.entries()) {
      expect(job.run?.params).toEqual([{ key: 'index', value: String(index) }]);
      expect(job.run?.metrics).toMatchObject([{ key: 'index', value: index }]);
    }
  });

  test('each has its own metrics as events, and no others', () => {
    for (const [index, each] of ended.entries()) {
      const { job } = each;
      expect(each.of('MetricLogged').map((event) => [event.runId, event.key, event.value, event.step])).toEqual(
        [0, 1, 2, 3, 4].map((step) => [job.runId, 'index', index, step]),
      );
    }
  });

  test('each has its own version, made of what it saved', async () => {
    const versions = ended.map(({ job }) => Number(job.modelVersion?.version));
    expect(versions.toSorted((a, b) => a - b)).toEqual(ended.map((_, index) => index + 1));
    for (const { job } of ended) {
      expect(job.modelVersion).toMatchObject({ name: modelName, runId: job.runId });
      expect(job.modelVersion?.source).toContain(job.runId);
    }
  });

  test('all runs are in the one experiment', async () => {
    const answer = await fetch(
      `${url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=${encodeURIComponent(experimentName)}`,
    );
    const { experiment } = await answer.json();
    const found = await fetch(`${url}/api/2.0/mlflow/runs/search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ experiment_ids: [experiment.experiment_id], max_results: 100 }),
    });
    const { runs } = await found.json();
    const ids = runs.map(({ info }: { info: { run_id: string } }) => info.run_id);
    expect(ids.toSorted()).toEqual(ended.map(({ job }) => job.runId).toSorted());
  });
});
