import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { ModelWorker } from '../../src/inference/model-worker.ts';
import { modelPickle } from '../support/model-pickle.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';

/** Takes as many seconds as its rows say, and may write what is no answer; on Linux and macOS 4 is where answers go. */
const MODEL = modelPickle(`
import os, time, types
def predict(frame):
    if "text" in frame:
        while True:
            os.write(4, frame["text"][0].encode() * 1048576)
    time.sleep(frame["seconds"].sum())
    return frame["seconds"].tolist()
model = types.SimpleNamespace(predict=predict)
`);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-worker-'));
});
afterEach(async () => {
  expect(processesOf(folder)).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});

async function load(source: string, options: { requestLimitMs?: number; signal?: AbortSignal } = {}) {
  const modelUri = join(folder, 'model.pkl');
  await writeFile(modelUri, source);
  // The toolchain's environment has what a model worker needs, and is always there.
  const environmentFolder = join(parseConfig(inheritedEnvironment(), false).toolchain, 'python');
  const trackingUri = 'http://127.0.0.1:9';
  return ModelWorker.load({ environmentFolder, modelUri, trackingUri, folder: join(folder, 'worker'), ...options });
}

const wait = (seconds: number) => ({ inputs: { seconds: [seconds] }, return_probabilities: false });
const write = (text: string) => ({ inputs: { text: [text] }, return_probabilities: false });

describe('a model worker', () => {
  test('that answers each in time is not ended for what waits behind; a request that waits too long gives up alone', async () => {
    await using worker = await load(MODEL, { requestLimitMs: 1500 });
    const asked = [1, 1.2, 1, 0].map((seconds) => worker.predict(wait(seconds)));
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes).toMatchObject([
      { status: 'fulfilled', value: { predictions: [1] } },
      // Older than the limit when it is answered, which the model is not to blame for.
      { status: 'fulfilled', value: { predictions: [1.2] } },
      { status: 'rejected', reason: { code: 'TIMEOUT', message: expect.stringContaining('busy with other requests') } },
      { status: 'rejected', reason: { code: 'TIMEOUT' } },
    ]);
    expect(worker).toMatchObject({ isEnded: false, waiting: 0 });
    await expect(worker.predict(wait(0))).resolves.toMatchObject({ predictions: [0] });
  });

  test('that does not answer in time is ended, and those that wait behind are told', async () => {
    await using worker = await load(MODEL, { requestLimitMs: 300 });
    const slow = worker.predict(wait(60));
    slow.catch(() => {});
    await expect(slow).rejects.toMatchObject({ code: 'TIMEOUT' });
    const behind = worker.predict(wait(0));
    await expect(behind).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('did not answer within 0.3 s'),
    });
    expect(worker.isEnded).toBe(true);
  });

  test('that writes without a line feed is ended before it fills the memory', async () => {
    await using worker = await load(MODEL);
    await expect(worker.predict(write('x'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('more than 64 MiB'),
    });
    await worker.ended;
  });

  test('that writes lines which are no answers is ended', async () => {
    await using worker = await load(MODEL);
    await expect(worker.predict(write('nonsense\n'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('something else than answers'),
    });
  });

  test('that is killed takes with it what its model had started', async () => {
    const source = modelPickle(`
import subprocess, sys, types
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
model = types.SimpleNamespace(predict=lambda frame: frame["seconds"].tolist())
`);
    await using worker = await load(source);
    const running = processesOf(folder);
    expect(running).toHaveLength(2);
    for (const { pid, command } of running) if (command.includes('model_worker.py')) process.kill(pid, 'SIGKILL');
    await worker.ended;
    await poll(
      () => processesOf(folder),
      (left) => left.length === 0,
    );
  });

  test('whose load is called off has ended when the caller is told', async () => {
    const stop = new AbortController();
    const loading = load('cbuiltins\nexec\n(Vimport time; time.sleep(600)\ntR.', { signal: stop.signal });
    setTimeout(() => stop.abort(), 300);
    await expect(loading).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('called off'),
    });
  });

  test('whose model cannot be loaded has ended when the caller is told why', async () => {
    await expect(load('no pickle')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
