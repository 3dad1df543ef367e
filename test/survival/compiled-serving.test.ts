import { expect, test } from 'vitest';
import { holdCompiling } from '../support/compiling.ts';
import { DataFolder } from '../support/data-folder.ts';
import { submit } from '../support/job-scripts.ts';
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
const JOB_LIMIT_MS = 240_000;
/** The environment that converts is made for it, at low priority. */
const COMPILED_WITHIN_MS = 400_000;

test('a model that a job trained is compiled after it, and no request fails while the engine is changed', {
  timeout: COMPILED_WITHIN_MS + JOB_LIMIT_MS + 200_000,
}, async () => {
  await using folder = await DataFolder.make();
  await using platform = await folder.start();
  await platform.ready();
  const { client } = platform;
  // However long the model takes to be loaded, it answers first when it is not compiled.
  using held = await holdCompiling(folder);
  const id = await submit(client, SCRIPT, 'compiled');
  await expect(
    poll(
      async () => (await client.job(id)).status,
      (status) => !['QUEUED', 'PREPARING', 'RUNNING'].includes(status),
      JOB_LIMIT_MS,
    ),
  ).resolves.toBe('COMPLETED');

  const inputs = Object.fromEntries([0, 1, 2, 3, 4, 5].map((number) => [`f${number}`, [0.5, -0.5]]));
  const infer = async (body: object) => {
    const response = await fetch(`${platform.url}/mlops/inference`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model_name: 'compiled', ...body }),
    });
    return { status: response.status, engine: response.headers.get('x-asgard-engine'), body: await response.json() };
  };
  const ask = () => infer({ inputs, return_probabilities: true });
  const first = await ask();
  expect(first).toMatchObject({ status: 200, engine: 'python' });
  const { predictions, probabilities } = first.body;
  const engines = [first.engine];
  held[Symbol.dispose]();
  await poll(
    async () => {
      const { engine, ...answer } = await ask();
      expect(answer).toMatchObject({ status: 200, body: { predictions, probabilities } });
      engines.push(engine);
      return engine;
    },
    (engine) => engine === 'onnx',
    COMPILED_WITHIN_MS,
  );
  console.info(`${engines.length} requests until the engine was changed`);
  expect(new Set(engines)).toEqual(new Set(['python', 'onnx']));
  const version = await client.modelVersion('compiled', '1');
  const proof = version.compilation?.proof;
  expect(version).toMatchObject({
    servingEngine: 'ONNX',
    compilation: { status: 'COMPILED', refusal: null },
    served: { engine: 'ONNX' },
  });
  const rows = Object.fromEntries(proof?.rows.map(({ source, count }) => [source, count]) ?? []);
  expect(rows['GENERATED']).toBeGreaterThanOrEqual(1_000);
  expect(rows['SPLITS']).toBeGreaterThan(0);
  expect(proof?.splitsTested).toBeGreaterThan(0);
  expect(proof?.splits).toBeGreaterThanOrEqual(proof?.splitsTested ?? 0);
  expect(proof?.largestDifference).toBeLessThanOrEqual(proof?.tolerance ?? 0);
  expect(proof?.totalSeconds).toBeGreaterThanOrEqual(proof?.seconds ?? 0);
  const [latest] = (await (await fetch(`${platform.url}/mlops/models/compiled`)).json()).latest_versions;
  expect(latest).toMatchObject({
    engine: 'onnx',
    loaded: { engine: 'onnx' },
    compilation: {
      status: 'compiled',
      proof: {
        rows: { generated: rows['GENERATED'], splits: rows['SPLITS'] },
        splits: proof?.splits,
        splits_tested: proof?.splitsTested,
        size_bytes: proof?.sizeBytes,
      },
    },
  });
  // What the proof does not cover is Python's to refuse.
  expect((await infer({ inputs: { f0: [1] } })).status).toBe(422);
});
