import { afterAll, describe, expect, inject, test } from 'vitest';
import { Gate, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { runScript } from '../support/mlflow-for-tests.ts';
import { MLFLOW_REST } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url, mlflowUrl, python } = inject('platform');

/** Asks MLflow's API, on either port, as whoever bears the token would. */
function search(address: string, token?: string): Promise<Response> {
  return fetch(`${address}/api/2.0/mlflow/experiments/search`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: '{"max_results":1}',
  });
}

describe.each([
  ["Asgard's port", url],
  ["MLflow's port", mlflowUrl],
])('%s', { timeout: JOB_LIMIT_MS }, (_name, address) => {
  test('is a tracking server to an ordinary MLflow client', async () => {
    const name = uniqueName('anonymous');
    const lines = await runScript(
      `
import mlflow, pathlib
client = mlflow.MlflowClient()
mlflow.set_experiment("${name}")
with mlflow.start_run() as run:
    mlflow.log_metric("a", 0.25)
    mlflow.log_text("ünïcode", "folder/note.txt")
print(client.get_run(run.info.run_id).data.metrics)
print(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/folder/note.txt"))
print([file.path for file in client.list_artifacts(run.info.run_id, "folder")])
client.create_registered_model("${name}")
version = client.create_model_version("${name}", f"{run.info.artifact_uri}/folder", run.info.run_id)
print(version.name, version.version)
`,
      { trackingUri: address },
      python,
    );
    expect(lines.slice(-4)).toEqual(["{'a': 0.25}", 'ünïcode', "['folder/note.txt']", `${name} 1`]);
    // What nobody's script did is nobody's job.
    const { items } = await jobs.client.models({ search: name });
    expect(items).toMatchObject([{ name, latestVersion: { version: '1' } }]);
  });

  test('refuses a token that is no job’s', async () => {
    const answer = await search(address, 'asgard-job-made-up');
    expect(answer.status).toBe(401);
    await expect(answer.json()).resolves.toMatchObject({ error_code: 'UNAUTHENTICATED' });
    expect((await search(address)).status).toBe(200);
  });
});

describe("a job's token", { timeout: JOB_LIMIT_MS }, () => {
  test('is good while the job runs, and no longer', async () => {
    await using gate = await Gate.create();
    const id = await jobs.submit(
      `${gate.python}${MLFLOW_REST}\nprint("token", os.environ["MLFLOW_TRACKING_TOKEN"], flush=True)\nwait()\n`,
    );
    const { text } = await jobs.line(id, 'token ');
    const token = text.slice('token '.length);
    expect((await search(url, token)).status).toBe(200);
    expect((await search(mlflowUrl, token)).status).toBe(200);
    await gate.open();
    const ended = await jobs.end(id);
    expect(ended.job.status).toBe('COMPLETED');
    expect((await search(url, token)).status).toBe(401);
    expect((await search(mlflowUrl, token)).status).toBe(401);
    expect((await jobs.end(id)).events).toEqual(ended.events);
  });

  test('is another one for each job', async () => {
    const script = 'import os\nprint(os.environ["MLFLOW_TRACKING_TOKEN"])\n';
    const [first, second] = await Promise.all([jobs.run(script), jobs.run(script)]);
    expect(first.stdout[0]).toMatch(/^asgard-job-/);
    expect(first.stdout[0]).not.toBe(second.stdout[0]);
  });
});
