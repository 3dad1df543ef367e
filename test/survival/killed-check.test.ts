import { afterAll, beforeAll, expect, test } from 'vitest';
import { DataFolder, type TestPlatform } from '../support/data-folder.ts';
import { Gate } from '../support/jobs-for-tests.ts';
import { modelPickle } from '../support/model-pickle.ts';
import { poll } from '../support/poll.ts';
import { savedPickle } from '../support/saved-pickle.ts';

let folder: DataFolder;
beforeAll(async () => {
  folder = await DataFolder.make();
});
afterAll(() => folder[Symbol.asyncDispose]());

/** Whoever waited for the check of a killed platform to run out of its time would wait for longer than the test does. */
const SETTINGS = { ASGARD_MODEL_CHECK_LIMIT: '600' };
const LIMIT_MS = 240_000;

/** Tells the gate each time that it is loaded, and waits there. */
const modelAt = (gate: Gate, name: string) =>
  modelPickle(`${gate.python}
tell("loading ${name} " + str(time.time_ns()))
wait("load ${name}")
import types
model = types.SimpleNamespace(predict=lambda frame: [7] * len(frame))
`);

async function call(platform: TestPlatform, path: string, body: object) {
  const answer = await fetch(`${platform.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as { predictions?: unknown[]; detail?: unknown } };
}

test('a version whose check was cut off by the end of the platform is tried anew, and deployed', {
  timeout: LIMIT_MS,
}, async () => {
  await using gate = await Gate.create();
  const name = 'by-job';
  let id = '';
  {
    await using platform = await folder.start(SETTINGS);
    await platform.ready();
    const names = { scriptName: 'train.py', experimentName: 'checked', modelName: name };
    const script = savedPickle(modelAt(gate, name));
    ({ id } = await platform.client.registry.deploy({ ...names, script }));
    await gate.told(`loading ${name}`);
    await platform.end('SIGKILL');
  }
  await using next = await folder.start(SETTINGS);
  await next.ready();
  await gate.told(`loading ${name}`, 2);
  await gate.open(`load ${name}`);
  const deployment = await poll(
    () => next.client.registry.deployment(id),
    ({ status }) => status === 'DEPLOYED' || status === 'FAILED',
    LIMIT_MS,
  );
  expect(deployment).toMatchObject({ status: 'DEPLOYED', error: null, modelVersion: { version: '1' } });
  expect(await next.client.job(id)).toMatchObject({ status: 'COMPLETED' });
  await next.end('SIGTERM');
});

test('a version that nobody made by a job is tried anew by the next who asks for it', {
  timeout: LIMIT_MS,
}, async () => {
  await using gate = await Gate.create();
  const name = 'by-hand';
  const infer = (platform: TestPlatform, version: string) =>
    call(platform, '/mlops/inference', { model_name: name, model_version: version, inputs: { x: [1, 2] } });
  {
    await using platform = await folder.start(SETTINGS);
    await platform.ready();
    const script = savedPickle(modelAt(gate, name));
    const names = { scriptName: 'train.py', experimentName: 'checked', modelName: 'unused' };
    const { id } = await platform.client.submit({ ...names, script });
    await gate.told(`loading ${name}`);
    const { status } = await call(platform, '/mlops/registry', {
      model_name: name,
      run_id: (await platform.client.modelVersion('unused', '1')).runId,
    });
    expect(status).toBe(201);
    const cutOff = infer(platform, '1').catch(() => null);
    await gate.told(`loading ${name}`, 2);
    await platform.end('SIGKILL');
    await cutOff;
    expect(id).not.toBe('');
  }
  await using next = await folder.start(SETTINGS);
  await next.ready();
  const asked = infer(next, 'latest');
  // The job's own version is tried again beside it.
  await gate.told(`loading ${name}`, 4);
  await gate.open(`load ${name}`);
  expect(await asked).toMatchObject({ status: 200, body: { predictions: [7, 7] } });
  await next.end('SIGTERM');
});
