import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tryModel } from '../../src/inference/check/try-model.ts';
import { modelPickle } from '../support/model-pickle.ts';
import { type ModelProcesses, modelProcessesIn, TOOLCHAIN_ENVIRONMENT } from '../support/model-processes.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';

let folder: string;
let processes: ModelProcesses;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-try-'));
  processes = modelProcessesIn(folder);
});
afterAll(async () => {
  await processes[Symbol.asyncDispose]();
  await poll(
    () => processesOf(folder),
    (left) => left.length === 0,
  );
  await rm(folder, { recursive: true, force: true });
});

async function tried(name: string, source: string, limitSeconds: number) {
  const modelFolder = join(folder, name);
  await mkdir(modelFolder);
  await writeFile(join(modelFolder, 'model.pkl'), modelPickle(source));
  return tryModel({
    executor: processes.executor,
    environmentFolder: TOOLCHAIN_ENVIRONMENT.folder,
    modelFolder,
    dataFiles: [],
    runId: null,
    limitSeconds,
    signal: new AbortController().signal,
  });
}

test('a model that hangs is stopped when its time is over, and said to be refused for that', async () => {
  expect(await tried('hangs', 'import time; time.sleep(600)', 1)).toMatchObject({
    refusal: 'it was stopped while being loaded, which took longer than 1 s',
    load_seconds: null,
  });
});

test.each([
  [
    'while it is loaded',
    'import os, sys; print("why", file=sys.stderr); os._exit(3)',
    'while being loaded its process ended with exit code 3: why',
  ],
  [
    'when it predicts',
    `
import os
class Model:
    feature_names_in_ = ["a"]
    def predict(self, rows):
        os.kill(os.getpid(), 9)
model = Model()
`,
    'was ended by SIGKILL, as the system does',
  ],
])('a model whose process ends %s is refused, and how it ended is said', async (what, source, how) => {
  const { refusal } = await tried(what, source, 60);
  expect(refusal).toMatch(/^while (being loaded|predicting an example) its process (ended with|was ended by) /);
  expect(refusal).toContain(how);
});
