import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ChildProcess } from '../../src/platform/process.ts';
import { DataFolder, type TestPlatform, TOOLCHAIN } from '../support/data-folder.ts';
import { submit } from '../support/job-scripts.ts';
import { constantModel } from '../support/model-pickle.ts';
import { MLFLOW_REST } from '../support/training-scripts.ts';

const SETTINGS = join(import.meta.dirname, '../support/schemathesis');
/** Of each operation and phase; with the fixed seed always the same requests. */
const MAX_EXAMPLES = 25;
const FUZZ_LIMIT_MS = 600_000;

/** Saves a model as the guide does, which takes whatever columns it is given. */
const SCRIPT = `${MLFLOW_REST}
run = mlflow_call("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
path = "/api/2.0/mlflow-artifacts/artifacts/0/" + run + "/artifacts/model/model.pkl"
mlflow_call(path, ${JSON.stringify(constantModel(7))}.encode(), "PUT")
`;

let folder: DataFolder;
let platform: TestPlatform;
let run = '';

beforeAll(async () => {
  folder = await DataFolder.make();
  // Jobs that it takes run one by one, and what they ask for cannot be fetched: what is not here fails at once.
  platform = await folder.start({ ASGARD_WORKER_SLOTS: '1', UV_OFFLINE: '1' });
  await platform.ready();
  const id = await submit(platform.client, SCRIPT, 'fuzzed');
  const events = await Array.fromAsync(platform.client.jobEvents(id));
  const { run_id, error } = await (await fetch(`${platform.url}/mlops/training/jobs/${id}`)).json();
  expect(events.at(-1), error).toMatchObject({ __typename: 'JobEnded', exitCode: 0 });
  run = run_id;
});

afterAll(async () => {
  await platform?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

test('no request that schemathesis makes of the OpenAPI document gets an answer that is not in it', {
  timeout: FUZZ_LIMIT_MS + 20_000,
}, async () => {
  const lines: string[] = [];
  await using child = await ChildProcess.start({
    argv: [
      join(TOOLCHAIN, 'test-python', 'bin', 'schemathesis'),
      `--config-file=${join(SETTINGS, 'schemathesis.toml')}`,
      'run',
      '--no-color',
      `--max-examples=${MAX_EXAMPLES}`,
      `${platform.url}/openapi.json`,
    ],
    env: {
      ...folder.variables(),
      PYTHONPATH: SETTINGS,
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: 'hooks',
      ASGARD_FUZZ_MODEL: 'fuzzed',
      ASGARD_FUZZ_RUN: run,
    },
    // It keeps files where it runs.
    cwd: folder.parent,
    onLine: (_stream, line) => void lines.push(line),
  });
  const limit = setTimeout(() => void child.terminate({ graceMs: 5_000 }), FUZZ_LIMIT_MS);
  const { code } = await child.exited;
  clearTimeout(limit);
  const report = lines.join('\n');
  expect(code, report).toBe(0);
  expect(report).toMatch(new RegExp(`Tested: +${await operations()}\\b`));
  expect(platform.log.filter((line) => line.includes('rest.fault'))).toEqual([]);
  // It got past the first look-ups: jobs were taken and versions registered.
  const { next_cursor } = await (await fetch(`${platform.url}/mlops/training/jobs?limit=10`)).json();
  expect(next_cursor).not.toBeNull();
  const { versions } = await (await fetch(`${platform.url}/mlops/models/fuzzed/versions`)).json();
  expect(versions.length).toBeGreaterThan(1);
});

/** How many the document has. */
async function operations(): Promise<number> {
  const { paths } = await (await fetch(`${platform.url}/openapi.json`)).json();
  return Object.values<object>(paths).flatMap((methods) => Object.keys(methods)).length;
}
