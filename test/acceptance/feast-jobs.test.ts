import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { askGraphql } from '../support/ask-graphql.ts';
import { CAN_BE_APART } from '../support/isolation.ts';
import { type EndedJob, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url, mlflowUrl, home } = inject('platform');
const TABLE = 'iceberg.gold.customer_metrics';

/** As the guide has it, with the column that its last lines drop and nothing had put there, and a model that is saved. */
const GUIDE_SCRIPT = `
${(await readFile(join(import.meta.dirname, '../fixtures/guide/use_features.py'), 'utf8')).replace(
  '"event_timestamp": pd.to_datetime("2025-11-03")\n',
  '"event_timestamp": pd.to_datetime("2025-11-03"),\n    "target": [0, 1, 0, 1, 0]\n',
)}
import mlflow, sklearn.linear_model
print(training_df.to_json(orient="values"))
with mlflow.start_run():
    model = sklearn.linear_model.LogisticRegression().fit(X.fillna(0), y)
    mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle")
`;

/** The columns of the guide's feature view: purchases, their value, and days since the last, of customers 1 to 4. */
function table(value: number): string {
  const rows = [1, 2, 3, 4].map((id) => `${id},2025-10-01T00:00:00Z,${id * 10},${value}.5,${id}`);
  const header = 'customer_id,event_timestamp,total_purchases,avg_purchase_value,days_since_last_purchase';
  return `${[header, ...rows].join('\n')}\n`;
}

async function put(content: string): Promise<void> {
  const headers = { 'content-type': 'text/csv' };
  const answer = await fetch(`${url}/iceberg/tables/gold/customer_metrics`, { method: 'PUT', headers, body: content });
  expect(answer.ok, await answer.clone().text()).toBe(true);
}

/** The average values that a job's script read. */
function valuesRead({ stdout }: EndedJob): unknown[] {
  const rows = JSON.parse(stdout.find((line) => line.startsWith('[[')) ?? '[]');
  return rows.map((row: unknown[]) => row[4]);
}

beforeAll(async () => {
  await put(table(20));
  const view = {
    name: 'customer_churn_features',
    entities: ['customer_id'],
    features: [
      { name: 'total_purchases', dtype: 'int64' },
      { name: 'avg_purchase_value', dtype: 'float64' },
      { name: 'days_since_last_purchase', dtype: 'int32' },
    ],
    source: { table_name: 'customer_metrics', catalog: 'iceberg', schema: 'gold' },
    ttl_days: 365,
  };
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/feast/features`, { method: 'POST', headers, body: JSON.stringify(view) });
  expect(answer.status, await answer.clone().text()).toBe(201);
});

const JOB = `query ($id: ID!) {
  trainingJob(id: $id) {
    featureReads { features featureViewName table snapshotId entityRows featureView { name } }
    featureSnapshots { table snapshotId }
    run { id tags { key value } featureReads { featureViewName } }
    modelVersion { featureReads { featureViewName } }
  }
}`;
const VIEW = `{
  featureView(name: "customer_churn_features") {
    jobs { edges { node { id } } }
    modelVersions { edges { node { name version job { id } } } }
  }
}`;

describe("the guide's feature chapter", { timeout: JOB_LIMIT_MS }, () => {
  let first: EndedJob;

  test('trains a model as it is written, and what it read is known from every side', async () => {
    first = await jobs.run(GUIDE_SCRIPT);
    expect(first.job, JSON.stringify(first.output.map(({ text }) => text))).toMatchObject({ status: 'COMPLETED' });
    expect(valuesRead(first)).toEqual([20.5, 20.5, 20.5, 20.5, null]);
    const { trainingJob } = await askGraphql(JOB, { id: first.job.id });
    const [snapshot] = trainingJob.featureSnapshots;
    expect(snapshot).toEqual({ table: TABLE, snapshotId: expect.stringMatching(/^\d+$/) });
    const view = { featureViewName: 'customer_churn_features' };
    expect(trainingJob).toMatchObject({
      featureReads: [
        {
          ...view,
          ...snapshot,
          features: ['avg_purchase_value', 'days_since_last_purchase', 'total_purchases'],
          entityRows: 5,
          featureView: { name: 'customer_churn_features' },
        },
      ],
      run: { featureReads: [view] },
      modelVersion: { featureReads: [view] },
    });
    expect(trainingJob.run.tags).toContainEqual({ key: 'asgard.feature_views', value: 'customer_churn_features' });
    const answer = await fetch(`${mlflowUrl}/api/2.0/mlflow/runs/get?run_id=${trainingJob.run.id}`);
    const { run } = await answer.json();
    const source = JSON.stringify({ table: TABLE, snapshot_id: snapshot.snapshotId });
    expect(run.inputs.dataset_inputs).toMatchObject([{ dataset: { name: 'customer_churn_features', source } }]);
    const { featureView } = await askGraphql(VIEW);
    expect(featureView.jobs.edges).toContainEqual({ node: { id: first.job.id } });
    expect(featureView.modelVersions.edges).toContainEqual({
      node: { name: first.job.modelName, version: '1', job: { id: first.job.id } },
    });
  });

  test('makes a model that is tried with rows of its training set, which no file has', () => {
    expect(first.of('ModelChecked')).toMatchObject([
      { isServable: true, refusal: null, warning: null, exampleSource: 'TRAINING_ROWS' },
    ]);
  });

  test('reads the same rows again when it is held to what it read, although the table has changed', async () => {
    const { trainingJob } = await askGraphql(JOB, { id: first.job.id });
    const before = new Date().toISOString();
    await put(table(99));
    const [held, heldByTime, free] = await Promise.all([
      jobs.run(GUIDE_SCRIPT, { features: { snapshots: trainingJob.featureSnapshots } }),
      jobs.run(GUIDE_SCRIPT, { features: { asOf: before } }),
      jobs.run(GUIDE_SCRIPT),
    ]);
    expect(valuesRead(held)).toEqual(valuesRead(first));
    expect(valuesRead(heldByTime)).toEqual(valuesRead(first));
    expect(valuesRead(free)).toEqual([99.5, 99.5, 99.5, 99.5, null]);
  });
});

const LOOK = `
import glob, json, os, yaml
from feast import FeatureStore
path = os.environ["FEAST_FS_YAML_FILE_PATH"]
print(json.dumps(yaml.safe_load(open(path))["registry"]["path"]))
print([view.name for view in FeatureStore(repo_path="/nowhere").list_feature_views()])
def outcome(action):
    try:
        return str(action())[:40]
    except OSError:
        return "refused"
files = sorted(glob.glob("${home}/warehouse/gold/*/data/*.parquet"))
print(outcome(lambda: open(files[0], "rb").read(4)))
print(outcome(lambda: open(files[0], "ab")), outcome(lambda: os.remove(files[0])), outcome(lambda: open("${home}/warehouse/new", "w")))
print(outcome(lambda: open("/tmp/feast_repo/feature_store.yaml").read() == open(path).read()), outcome(lambda: os.listdir("${home}")))
`;

test('a script has a role and files of its own, and sees the warehouse without being able to write', {
  timeout: JOB_LIMIT_MS,
}, async () => {
  const { stdout } = await jobs.run(LOOK);
  const registry = new URL(JSON.parse(stdout[0] ?? '').replace('postgresql+psycopg', 'postgresql'));
  expect(registry.username).toMatch(/^asgard_job_[0-9a-f]{16}_1$/);
  expect(stdout[1]).toContain('customer_churn_features');
  registry.search = '';
  const enter = async () => {
    const client = new pg.Client({ connectionString: registry.href });
    const failure = await client.connect().catch((error: unknown) => error);
    await client.end();
    return failure instanceof pg.DatabaseError ? failure.code : 'allowed';
  };
  await poll(enter, (outcome) => outcome === '28P01');
  if (!CAN_BE_APART) return;
  expect(stdout.slice(2)).toEqual(["b'PAR1'", 'refused refused refused', expect.stringMatching(/^True \[/)]);
  expect(stdout.at(-1)).not.toContain('postgres');
});
