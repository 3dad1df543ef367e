import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
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

async function tried(name: string, source: string, limitSeconds: number, rows: readonly Uint8Array[] = []) {
  const modelFolder = join(folder, name);
  await mkdir(modelFolder);
  await writeFile(join(modelFolder, 'model.pkl'), modelPickle(source));
  return tryModel({
    executor: processes.executor,
    environmentFolder: TOOLCHAIN_ENVIRONMENT.folder,
    modelFolder,
    training: { files: [], rows },
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

test('a model is tried with one thread, as it is served', async () => {
  const { refusal } = await tried('threads', 'import os; raise RuntimeError(os.environ["OMP_NUM_THREADS"])', 60);
  expect(refusal).toBe('it cannot be loaded: RuntimeError: 1');
});

const TAKES_B = `
class Model:
    feature_names_in_ = ["b"]
    def predict(self, rows):
        if rows["b"].tolist() != [7, 8]:
            raise ValueError("these are other rows")
        return [0, 1]
model = Model()
`;

test('rows that its script got are tried, those first that have its columns, and nothing of them is left', async () => {
  const [others = '', own = ''] = await Promise.all([parquetOf('{"a": [1]}'), parquetOf('{"a": [1, 2], "b": [7, 8]}')]);
  const nonsense = Buffer.from('PAR1 nobody can read it PAR1');
  const rows = [nonsense, Buffer.from(others, 'base64'), Buffer.from(own, 'base64')];
  expect(await tried('of rows', TAKES_B, 60, rows)).toMatchObject({ refusal: null, example_source: 'TRAINING_ROWS' });
  expect((await readdir(folder, { recursive: true })).filter((path) => path.endsWith('.parquet'))).toEqual([]);
  expect(await tried('of none', TAKES_B, 60, [nonsense])).toMatchObject({ refusal: null, example_source: null });
});

/** A Parquet file of columns, in base64. */
async function parquetOf(columns: string): Promise<string> {
  const program = 'import base64, io, pandas; file = io.BytesIO()';
  const print = 'pandas.DataFrame(COLUMNS).to_parquet(file); print(base64.b64encode(file.getvalue()).decode())';
  const code = `${program}; ${print.replace('COLUMNS', columns)}`;
  return (await promisify(execFile)(TOOLCHAIN_ENVIRONMENT.python, ['-c', code])).stdout;
}
