import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { environmentFiles } from '../../src/inference/check/environment-files.ts';
import { readReport } from '../../src/inference/check/report.ts';
import { namedBy, tablesAmong } from '../../src/inference/check/training-files.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-check-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const REPORT = {
  stage: 'done',
  refusal: null,
  warning: null,
  traceback: null,
  example_source: 'SIGNATURE',
  load_seconds: 0.1,
  p50_ms: 2,
  peak_memory_bytes: 1,
  signature: { inputs: '[]' },
  mlmodel: null,
  pickled_with: null,
};

test('a report is read as it was written', async () => {
  const path = join(folder, 'report.json');
  await writeFile(path, JSON.stringify(REPORT));
  expect(await readReport(path)).toEqual(REPORT);
});

test.each<[string, (path: string) => Promise<void> | void]>([
  ['nothing', () => {}],
  ['a link to a report', (path) => symlink(join(folder, 'report.json'), path)],
  ['a folder', (path) => mkdir(path)],
  ['no JSON', (path) => writeFile(path, '{"stage":')],
  ['a number that is none', (path) => writeFile(path, JSON.stringify({ ...REPORT, p50_ms: '2' }))],
  [
    'more than a report holds',
    (path) => writeFile(path, JSON.stringify({ ...REPORT, traceback: 'x'.repeat(2 ** 21) })),
  ],
])('%s in its place is no report', async (what, make) => {
  const path = join(folder, `${what}.json`);
  await make(path);
  expect(await readReport(path)).toBeNull();
});

test('the files of an environment name the packages of its lock and its Python', () => {
  const lock = '# made by uv\nnumpy==2.4.6\nwheel @ https://example.org/a.whl \\\n    --hash=sha256:00\n';
  const files = environmentFiles(lock, '3.11.9');
  expect(files['requirements.txt']).toBe('numpy==2.4.6\nwheel @ https://example.org/a.whl\n');
  expect(files['python_env.yaml']).toBe(
    'python: 3.11.9\nbuild_dependencies:\n- pip\ndependencies:\n- -r requirements.txt\n',
  );
  expect(files['conda.yaml']).toContain('- python=3.11.9\n- pip\n- pip:\n  - "numpy==2.4.6"\n');
});

test('tables that a job may have read are those of its variables and of the texts in its script, each once', () => {
  const script = `
df = pd.read_csv("/data/customers.csv")
other = pd.read_parquet(os.environ.get('OTHER', '/data/other.parquet'))
again = "/data/customers.csv"; text = "it's not a file.csv"; out = "relative.csv"; url = "https://example.org/a.csv"
`;
  const environmentVars = { DATA_PATH: '/srv/rows.csv.gz', MODE: 'fast' };
  expect(tablesAmong(namedBy({ script, environmentVars }))).toEqual([
    '/srv/rows.csv.gz',
    '/data/customers.csv',
    '/data/other.parquet',
  ]);
});
