import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPlatform } from '../../src/cli/start-platform.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { poll } from '../support/poll.ts';

const SCRIPT = `
import os, pickle, tempfile
import mlflow, numpy as np, pandas as pd
from sklearn.ensemble import RandomForestClassifier
random = np.random.default_rng(0)
X = pd.DataFrame(random.normal(size=(500, 6)), columns=[f"f{i}" for i in range(6)])
y = (X.f0 + X.f1 > 0).astype(int)
with mlflow.start_run():
    model = RandomForestClassifier(n_estimators=100, max_depth=10, random_state=42).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pkl")
        with open(path, "wb") as f:
            pickle.dump(model, f)
        mlflow.log_artifact(path, artifact_path="model")
`;
const WITHIN_MS = 400_000;

test('a model that a job trained is compiled after it, and no request fails while the engine is changed', {
  timeout: 600_000,
}, async () => {
  const home = await mkdtemp(join(tmpdir(), 'asgard-compiled-'));
  const toolchain = process.env['ASGARD_TOOLCHAIN'] ?? join(PROJECT_ROOT, '.toolchain');
  const variables = {
    ASGARD_HOME: home,
    ASGARD_ENVIRONMENTS: join(toolchain, 'environments'),
    PORT: '0',
    MLFLOW_PORT: '0',
  };
  const logs: string[] = [];
  try {
    await using platform = await startPlatform(
      { ...process.env, ...variables, ASGARD_LOG_FORMAT: 'json' },
      (line) => void logs.push(line),
    );
    const call = async (path: string, body?: unknown) => {
      const headers = { 'content-type': 'application/json' };
      const init = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
      const response = await fetch(`${platform.url}${path}`, init);
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    await poll(
      () => fetch(`${platform.url}/readyz`).then(({ ok }) => ok),
      (isReady) => isReady,
      WITHIN_MS,
    );
    const upload = {
      script_name: 'train.py',
      script_content: Buffer.from(SCRIPT).toString('base64'),
      experiment_name: 'compiled',
      model_name: 'compiled',
      requirements: [],
    };
    const { body: job } = await call('/mlops/training/upload', upload);
    const ended = await poll(
      () => call(`/mlops/training/jobs/${job['job_id']}`),
      ({ body }) => body['status'] !== 'queued' && body['status'] !== 'running',
      WITHIN_MS,
    );
    expect(ended.body).toMatchObject({ status: 'completed' });
    const inputs = Object.fromEntries([0, 1, 2, 3, 4, 5].map((number) => [`f${number}`, [0.5, -0.5]]));
    const predict = () => call('/mlops/inference', { model_name: 'compiled', inputs, return_probabilities: true });
    const first = await predict();
    expect(first.status).toBe(200);
    let asked = 0;
    const engine = async () => {
      for (let times = 0; times < 20; times += 1) {
        const { status, body } = await predict();
        asked += 1;
        expect({ status, predictions: body['predictions'], probabilities: body['probabilities'] }).toEqual({
          status: 200,
          predictions: first.body['predictions'],
          probabilities: first.body['probabilities'],
        });
      }
      return logs.find((line) => line.includes('model.compiled'));
    };
    const compiled = await poll(engine, (line) => line !== undefined, WITHIN_MS);
    expect(JSON.parse(compiled ?? '')).toMatchObject({ name: 'compiled', refusal: null });
    const fast = await poll(
      async () => {
        const startedAt = performance.now();
        for (let times = 0; times < 50; times += 1) await engine().then(() => {});
        return (performance.now() - startedAt) / 1000;
      },
      (milliseconds) => milliseconds < 10,
      60_000,
    );
    console.log(`${asked} requests, ${compiled}; then ${fast.toFixed(2)} ms a request`);
    expect((await call('/mlops/inference', { model_name: 'compiled', inputs: { f0: [1] } })).status).toBe(422);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
