import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { holdCompiling } from '../support/compiling.ts';
import { DataFolder, type TestPlatform } from '../support/data-folder.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { poll } from '../support/poll.ts';

/** As the guide saves it; its trees have some ten thousand splits, so that the proof takes a while. */
const SCRIPT = `
import pickle, mlflow, numpy, pandas
from sklearn.ensemble import RandomForestClassifier
random = numpy.random.default_rng(0)
frame = pandas.DataFrame(random.normal(size=(2000, 6)), columns=[f"f{number}" for number in range(6)])
model = RandomForestClassifier(n_estimators=100, max_depth=12, random_state=42).fit(frame, frame.f0 * frame.f1 > 0)
with open("model.pkl", "wb") as file:
    pickle.dump(model, file)
with mlflow.start_run():
    mlflow.log_artifact("model.pkl", artifact_path="model")
`;
const INPUTS = Object.fromEntries(Array.from({ length: 6 }, (_, number) => [`f${number}`, [0.5, -0.25, 1.5]]));
/** Of the moment in which the process that compiles is there: it imports, it converts, it proves. */
const KILLED_AFTER_MS = [0, 3_000];
/** The environment that converts may have to be made; then, what was claimed by a platform that is gone is claimed a minute later. */
const COMPILING_LIMIT_MS = 400_000;
const GONE_LIMIT_MS = 60_000;

test('a version that was being compiled as the platform was killed is compiled by the next, and nothing is left', {
  timeout: COMPILING_LIMIT_MS * 3,
}, async () => {
  await using folder = await DataFolder.make();
  let platform = await start(folder);
  // However long it takes to ask, it is asked before there is anything compiled.
  let held = await holdCompiling(folder);
  try {
    const events = await eventsOf(platform.client, await submit(platform.client, SCRIPT, 'compiled'));
    expect(events.at(-1)).toMatchObject({ status: 'COMPLETED' });
    const said = await answer(platform);
    expect(said).toMatchObject({ status: 200, engine: 'python' });
    for (const moment of KILLED_AFTER_MS) {
      held[Symbol.dispose]();
      await poll(
        () => compiling(folder),
        (found) => found.length > 0,
        COMPILING_LIMIT_MS,
      );
      await delay(moment);
      expect(compiling(folder), 'it was still at it').not.toEqual([]);
      await platform.end('SIGKILL');
      await poll(
        () => compiling(folder),
        (found) => found.length === 0,
        GONE_LIMIT_MS,
      );
      await platform[Symbol.asyncDispose]();
      held = await holdCompiling(folder);
      platform = await start(folder);
      // What was half made is nobody's answer.
      expect(await engineOf(platform)).toBeUndefined();
      expect(await answer(platform)).toEqual(said);
    }
    held[Symbol.dispose]();
    await poll(
      () => engineOf(platform),
      (engine) => engine === 'onnx',
      COMPILING_LIMIT_MS,
    );
    const compiled = await poll(
      () => answer(platform),
      ({ engine }) => engine === 'onnx',
    );
    expect(compiled).toMatchObject({ status: 200, predictions: said.predictions });
    for (const [row, chances] of said.probabilities.entries()) {
      expect(compiled.probabilities[row]).toEqual(chances.map((chance: number) => expect.closeTo(chance, 5)));
    }
    expect((await platform.end('SIGTERM')).code).toBe(0);
    expect(folder.processes()).toEqual([]);
    expect(await readdir(join(folder.path, 'models', 'processes')).catch(() => [])).toEqual([]);
  } finally {
    held[Symbol.dispose]();
    await platform[Symbol.asyncDispose]();
  }
});

async function start(folder: DataFolder): Promise<TestPlatform> {
  const platform = await folder.start();
  await platform.ready();
  return platform;
}

const compiling = (folder: DataFolder) => folder.processes().filter(({ command }) => /model_compile\.py/.test(command));

async function engineOf({ client }: TestPlatform): Promise<string | undefined> {
  const [version] = await Array.fromAsync(client.allModelVersions('compiled'));
  return version?.tags.find(({ key }) => key === 'asgard.engine')?.value;
}

// biome-ignore lint/suspicious/noExplicitAny: what it holds is what is tested
async function answer({ url }: TestPlatform): Promise<any> {
  const response = await fetch(`${url}/mlops/inference`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model_name: 'compiled', inputs: INPUTS, return_probabilities: true }),
  });
  const { predictions, probabilities } = (await response.json()) as { predictions: unknown; probabilities: unknown };
  return { status: response.status, engine: response.headers.get('x-asgard-engine'), predictions, probabilities };
}
