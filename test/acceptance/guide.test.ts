import { execFile } from 'node:child_process';
import { chmod, constants, copyFile, mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { poll } from '../support/poll.ts';
import { pickleScript } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const RUN_LIMIT_MS = 280_000;
const GUIDE_FOLDER = '/data';
const GUIDE_FILE = '/data/customers.csv';
const GUIDE_URL = 'http://localhost:8000';
const FIXTURES = join(import.meta.dirname, '../fixtures/guide');
const MAKE_DATA = join(import.meta.dirname, '../../examples/churn/make_data.py');

const { url, mlflowUrl, python } = inject('platform');
const folder = await mkdtemp(join(tmpdir(), 'asgard-guide-'));
await chmod(folder, 0o755); // jobs read the data in it
const data = await placeData();
const asIs = data.file === GUIDE_FILE ? 'unchanged' : 'unchanged but for the path of its data';

const FEATURES = {
  support_tickets_count: [9, 0],
  days_since_last_purchase: [170, 3],
  total_purchases: [2, 50],
  customer_lifetime_value: [120.5, 2300],
  account_age_days: [400, 900],
  avg_purchase_value: [40.25, 60],
};

beforeAll(async () => {
  const script = await readFile(join(FIXTURES, 'train_model.py'), 'utf8');
  await writeFile(join(folder, 'train_model.py'), script.replace(GUIDE_FILE, data.file));
});

afterAll(async () => {
  await data.remove();
  await rm(folder, { recursive: true, force: true });
});

describe.sequential("the guide's own programs", { timeout: RUN_LIMIT_MS + 20_000 }, () => {
  test(`its upload snippet runs its training script, ${asIs}, and prints the run and the log`, async () => {
    const before = await listedVersions('churn_predictor');
    const output = await run(await atOurAddress('upload_and_execute.py'));

    const jobId = /^Job ID: (\S+)$/m.exec(output)?.[1];
    const runId = /^Run ID: ([0-9a-f]{32})$/m.exec(output)?.[1];
    expect(output).toMatch(/^Status: completed$/m);
    expect(output).toContain('✅ Training completed!');
    expect(output).toContain(`   Run ID: ${runId}`);
    expect(output).toContain('✓ Model artifact saved to MLflow (model/model.pkl)');
    expect(output).toContain('✅ Training completed successfully!');

    const job = await getJson(`${url}/mlops/training/jobs/${jobId}`);
    expect(job).toMatchObject({ status: 'completed', run_id: runId, model_version: expect.stringMatching(/^\d+$/) });
    expect(await listedVersions('churn_predictor')).not.toEqual(before);
  });

  test('what it trained answers inference requests', async () => {
    const answer = await fetch(`${url}/mlops/inference`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model_name: 'churn_predictor', inputs: FEATURES, return_probabilities: true }),
    });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      model_name: 'churn_predictor',
      predictions: [1, 0],
      probabilities: [
        [expect.any(Number), expect.any(Number)],
        [expect.any(Number), expect.any(Number)],
      ],
    });
  });

  test("an ordinary MLflow REST call finds the run's metrics", async () => {
    const [version] = await listedVersions('churn_predictor');
    const { run: found } = await getJson(`${mlflowUrl}/api/2.0/mlflow/runs/get?run_id=${version?.run_id}`);
    const metrics = found.data.metrics.map(({ key }: { key: string }) => key);
    expect(metrics.toSorted()).toEqual(['test_accuracy', 'train_accuracy']);
  });

  test(`its client with its usage section trains the script, ${asIs}`, async () => {
    const program = await atOurAddress('client.py');
    // It looks once; on a busy machine MLflow may be late to answer, which is told.
    const isTold = (text: string) => /^MLflow available: True$/m.test(text);
    const output = await poll(() => run(program), isTold, RUN_LIMIT_MS);
    expect(output).toMatch(/^Status: completed$/m);
    expect(output).toMatch(/^Run ID: [0-9a-f]{32}$/m);
  });

  test('every method of its client works, against the address that it is given', async () => {
    const script = join(folder, 'hello.py');
    await writeFile(script, 'print("hello from the guide\'s client")\n');
    const table = `${url}/iceberg/tables/gold/customer_aggregates`;
    const body = 'customer_id,event_timestamp,total_orders\n1,2025-11-01T00:00:00Z,3\n';
    expect((await fetch(table, { method: 'PUT', headers: { 'content-type': 'text/csv' }, body })).ok).toBe(true);
    const drive = async () => JSON.parse(await run(join(FIXTURES, 'drive_client.py'), url, script));
    const results = await poll(drive, ({ status }) => isAvailable(status), RUN_LIMIT_MS);
    expect(results.uploaded).toMatchObject({ script_name: 'hello.py', status: 'queued' });
    expect(results.job).toMatchObject({ job_id: results.uploaded.job_id, experiment_name: 'guide_client' });
    expect(results.ended).toMatchObject({ status: 'completed', model_version: null, error: null });
    expect(results.ended.logs).toContain("hello from the guide's client\n");
    expect(results.models.map(({ name }: { name: string }) => name)).toContain('churn_predictor');
    expect(results.feature_view).toMatchObject({
      name: 'customer_features',
      entities: ['customer_id'],
      features: ['total_orders'],
      source_table: 'iceberg.gold.customer_aggregates',
    });
  });

  test('its six validation checks pass', async () => {
    const name = uniqueName('test_features').replaceAll('-', '_');
    const model = uniqueName('validated');
    const view = {
      name,
      entities: ['customer_id'],
      features: [{ name: 'total_orders', dtype: 'int64' }],
      source: { table_name: 'customer_aggregates', catalog: 'iceberg', schema: 'gold' },
    };
    const script = {
      script_name: 'train.py',
      script_content: pickleScript(2),
      experiment_name: model,
      model_name: model,
    };

    const connectivity = await poll(() => getJson(`${url}/mlops/status`), isAvailable);
    const featureView = await postJson(`${url}/feast/features`, view);
    const upload = await postJson(`${url}/mlops/training/upload`, script);
    const job = () => getJson(`${url}/mlops/training/jobs/${upload.body.job_id}`);
    const training = await poll(job, ({ status }) => status === 'completed' || status === 'failed', RUN_LIMIT_MS);
    const found = await getJson(`${mlflowUrl}/api/2.0/mlflow/artifacts/list?run_id=${training.run_id}&path=model`);
    const listing = await listedVersions(model);

    const checks = {
      connectivity: isAvailable(connectivity),
      feature_view: featureView.status === 201 && featureView.body.status === 'created',
      upload: upload.status === 202 && upload.body.status === 'queued',
      training: training.status === 'completed',
      mlflow_verification: found.files.some(({ path }: { path: string }) => path === 'model/model.pkl'),
      model_listing: listing.some(({ run_id }) => run_id === training.run_id),
    };
    expect(checks).toEqual(Object.fromEntries(Object.keys(checks).map((check) => [check, true])));
    // It is 0, too, while the registry is late to answer.
    await poll(
      () => getJson(`${url}/mlops/status`),
      ({ feature_views: count }) => count > 0,
    );
  });
});

interface Status {
  readonly mlflow_available: boolean;
  readonly feast_store_available: boolean;
}

/** What a status says in which no part was late to answer. */
function isAvailable({ mlflow_available: hasMlflow, feast_store_available: hasFeatures }: Status): boolean {
  return hasMlflow && hasFeatures;
}

// biome-ignore lint/suspicious/noExplicitAny: as below
async function postJson(address: string, body: object): Promise<{ status: number; body: any }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(address, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

/** Runs a Python program to its end, in the folder of the guide's script, and gives what it printed. */
async function run(program: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, PYTHONUTF8: '1', NO_PROXY: '127.0.0.1,localhost', no_proxy: '127.0.0.1,localhost' };
  const options = { cwd: folder, env, timeout: RUN_LIMIT_MS, maxBuffer: 16 * 1024 * 1024 };
  const { stdout } = await promisify(execFile)(python, [program, ...args], options);
  return stdout;
}

/** A copy of a program of the guide in which nothing but the service's address differs. */
async function atOurAddress(file: string): Promise<string> {
  const text = await readFile(join(FIXTURES, file), 'utf8');
  const copy = join(folder, file);
  await writeFile(copy, text.replaceAll(GUIDE_URL, url));
  return copy;
}

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function getJson(address: string): Promise<any> {
  const answer = await fetch(address);
  expect(answer.status).toBe(200);
  return answer.json();
}

async function listedVersions(model: string): Promise<{ version: string; run_id: string }[]> {
  const models: { name: string; latest_versions: { version: string; run_id: string }[] }[] = await getJson(
    `${url}/mlops/models`,
  );
  return models.find(({ name }) => name === model)?.latest_versions ?? [];
}

/** The customers where the guide's script looks for them, if that path is free and may be taken; else in our folder. */
async function placeData(): Promise<{ file: string; remove(): Promise<void> }> {
  const made = join(folder, 'customers.csv');
  await promisify(execFile)(python, [MAKE_DATA, made]);
  const isFolderOurs = await succeeds(mkdir(GUIDE_FOLDER));
  if (await succeeds(copyFile(made, GUIDE_FILE, constants.COPYFILE_EXCL))) {
    const remove = async () => {
      await rm(GUIDE_FILE);
      if (isFolderOurs) await rmdir(GUIDE_FOLDER);
    };
    return { file: GUIDE_FILE, remove };
  }
  if (isFolderOurs) await rmdir(GUIDE_FOLDER);
  return { file: made, remove: async () => {} };
}

async function succeeds(action: Promise<unknown>): Promise<boolean> {
  try {
    await action;
    return true;
  } catch {
    return false;
  }
}
