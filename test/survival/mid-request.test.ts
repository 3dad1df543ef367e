import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { JobEvent } from '../../src/client/client.ts';
import { ManagedMlflow } from '../../src/embedded/mlflow-server.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { DataFolder, type TestPlatform, TOOLCHAIN } from '../support/data-folder.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { type LossyUpstream, type PassingCall, type Stage, startLossyUpstream } from '../support/lossy-upstream.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';

const STEPS = 60;
const NESTED = [10, 30, 50];
const MODEL = 'survivor';

/** Logs every 100 ms and starts a run now and then. */
const LOGGING = `
import time, mlflow
def track():
    for step in range(${STEPS}):
        mlflow.log_metric("step", step, step=step)
        if step in ${JSON.stringify(NESTED)}:
            with mlflow.start_run(nested=True, run_name=f"nested {step}"):
                mlflow.log_metric("inner", step)
        print("logged", step, flush=True)
        time.sleep(0.1)
`;
const SCRIPT = `${LOGGING}
from sklearn.linear_model import LinearRegression
with mlflow.start_run(run_name="main"):
    track()
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    options = dict(serialization_format="cloudpickle", pip_requirements=["scikit-learn"])
    mlflow.sklearn.log_model(model, name="model", registered_model_name="${MODEL}", **options)
`;

let folder: DataFolder;
beforeEach(async () => {
  folder = await DataFolder.make();
  return () => folder[Symbol.asyncDispose]();
});

describe('kill -9 in the middle of a call to MLflow, and a restart', { timeout: 300_000 }, () => {
  let mlflow: MlflowForTests;
  let upstream: LossyUpstream;
  beforeEach(async () => {
    mlflow = await startMlflow();
    upstream = await startLossyUpstream(mlflow.url);
  });
  afterEach(async () => {
    await upstream?.[Symbol.asyncDispose]();
    await mlflow?.[Symbol.asyncDispose]();
  });

  test('the script completes, every value is recorded once, and no run or version twice', async () => {
    const variables = { MLFLOW_TRACKING_URI: upstream.url };
    const first = await folder.start(variables);
    const { url, mlflowUrl } = first;
    await first.ready();
    // The script's call may come by before it is seen here that the next one listens.
    let starting = Promise.resolve(first);
    const kills: [Stage, (call: PassingCall) => boolean][] = [
      ['request', ({ path, body }) => path.endsWith('runs/create') && body.includes('nested 10')],
      ['answer', ({ path, body }) => path.endsWith('runs/log-metric') && body.includes('"step": 20')],
      ['answer', ({ path, body }) => path.endsWith('runs/create') && body.includes('nested 30')],
      ['answer', ({ path, method }) => path.endsWith('mlflow/logged-models') && method === 'POST'],
      ['answer', ({ path }) => path.endsWith('model-versions/create')],
    ];
    const restarted = Promise.withResolvers<void>();
    upstream.isLost = async (stage, call) => {
      const [at, isIt] = kills[0] ?? [];
      if (at !== stage || isIt?.(call) !== true) return false;
      kills.shift();
      await (await starting).end('SIGKILL');
      starting = folder.start(variables);
      void starting.then(() => kills.length === 0 && restarted.resolve(), restarted.reject);
      return true;
    };
    const [jobId] = await Promise.all([submit(first.client, SCRIPT, MODEL), restarted.promise]);
    await using platform = await starting;
    // Where the script looks for it.
    expect([platform.url, platform.mlflowUrl]).toEqual([url, mlflowUrl]);
    const events = await eventsOf(platform.client, jobId);
    await expectAllOnce(events, mlflow.url);
    const found = await ask(mlflow.url, `model-versions/search?filter=name%3D'${MODEL}'`);
    expect(found.model_versions).toMatchObject([{ version: '1', status: 'READY' }]);
    const models = await ask(mlflow.url, 'logged-models/search', { experiment_ids: [await experimentOf(mlflow.url)] });
    expect(models.models).toHaveLength(1);
    expect(events.filter(({ __typename }) => __typename === 'ModelRegistered')).toMatchObject([{ version: '1' }]);
  });
});

test('the same at random moments, with the managed MLflow', { timeout: 300_000 }, async () => {
  let platform: TestPlatform = await folder.start();
  await platform.ready();
  const jobId = await submit(platform.client, `${LOGGING}\nwith mlflow.start_run(run_name="main"):\n    track()`);
  for (const line of ['logged 3', 'logged 12', 'logged 35']) {
    await untilPrinted(platform, jobId, line);
    await delay(Math.random() * 300);
    await platform.end('SIGKILL');
    platform = await folder.start();
  }
  const events = await eventsOf(platform.client, jobId);
  await expectAllOnce(events, platform.mlflowUrl);
  await platform[Symbol.asyncDispose]();
  expect(folder.processes()).toEqual([]);
});

test('PostgreSQL restarted and MLflow silent for a while, under a job that logs', { timeout: 300_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const outside = join(folder.parent, 'outside');
  const options = { folder: join(outside, 'postgres'), logFile: join(outside, 'postgres.log') };
  const postgres = stack.use(await EmbeddedPostgres.start(options));
  const { port } = postgres;
  const mlflow = stack.use(
    await ManagedMlflow.start({
      python: join(TOOLCHAIN, 'python', 'bin', 'python'),
      databaseUrl: postgres.url('mlflow'),
      artifactsFolder: join(outside, 'mlflow', 'artifacts'),
      logFile: join(outside, 'mlflow.log'),
    }),
  );
  await mlflow.ready;
  const variables = { DATABASE_URL: postgres.url('asgard'), MLFLOW_TRACKING_URI: mlflow.url };
  const platform = stack.use(await folder.start(variables));
  await platform.ready();
  const jobId = await submit(platform.client, `${LOGGING}\nwith mlflow.start_run(run_name="main"):\n    track()`);
  await untilPrinted(platform, jobId, 'logged 5');
  await postgres[Symbol.asyncDispose]();
  await delay(2_000);
  expect(stack.use(await EmbeddedPostgres.start(options)).port).toBe(port);
  await untilPrinted(platform, jobId, 'logged 25');
  process.kill(mlflow.pid, 'SIGSTOP');
  await delay(4_000);
  process.kill(mlflow.pid, 'SIGCONT');
  await expectAllOnce(await eventsOf(platform.client, jobId), mlflow.url);
});

async function untilPrinted({ client }: TestPlatform, jobId: string, line: string): Promise<void> {
  for await (const event of client.jobEvents(jobId)) {
    if (event.__typename === 'LogLine' && event.text === line) return;
  }
}

/** What the script logged is there once, in MLflow and among the job's events. */
async function expectAllOnce(events: readonly JobEvent[], mlflowUrl: string): Promise<void> {
  expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
  const metrics = events.filter((event) => event.__typename === 'MetricLogged');
  const steps = Array.from({ length: STEPS }, (_item, step) => step);
  expect(metrics.flatMap(({ key, step }) => (key === 'step' ? [step] : []))).toEqual(steps);
  expect(metrics.flatMap(({ key, value }) => (key === 'inner' ? [value] : []))).toEqual(NESTED);
  const search = { experiment_ids: [await experimentOf(mlflowUrl)], order_by: ['attributes.start_time'] };
  const { runs } = await ask(mlflowUrl, 'runs/search', search);
  const names = runs.map(({ info }: { info: { run_name: string } }) => info.run_name);
  expect(names.toSorted()).toEqual(['main', ...NESTED.map((step) => `nested ${step}`)].toSorted());
  for (const { info } of runs) {
    const isMain = info.run_name === 'main';
    const key = isMain ? 'step' : 'inner';
    const history = await ask(mlflowUrl, `metrics/get-history?run_id=${info.run_id}&metric_key=${key}`);
    const values = history.metrics.map(({ value }: { value: number }) => value);
    expect(values).toEqual(isMain ? steps : [Number(info.run_name.slice('nested '.length))]);
    expect(info.status).toBe('FINISHED');
  }
}

async function experimentOf(mlflowUrl: string): Promise<string> {
  return (await ask(mlflowUrl, 'experiments/get-by-name?experiment_name=lifecycle')).experiment.experiment_id;
}

async function ask(mlflowUrl: string, path: string, body?: object) {
  const answer = await fetch(`${mlflowUrl}/api/2.0/mlflow/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return answer.json();
}
