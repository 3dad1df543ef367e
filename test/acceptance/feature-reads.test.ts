import { afterAll, describe, expect, inject, test } from 'vitest';
import { askGraphql } from '../support/ask-graphql.ts';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { uniqueName } from '../support/unique-name.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url, mlflowUrl } = inject('platform');

const PINNED = { asOf: '2025-11-03T12:00:00+02:00', snapshots: [{ table: 'iceberg.gold.a', snapshotId: '9' }] };
const READ = { table: 'iceberg.gold.customers', snapshot_id: '8744736658442914487', entity_rows: 5 };
const VIEW = { ...READ, feature_view: 'customer_features' };

/** Reports reads as the offline store does, at each step, and prints how it was answered. */
const SCRIPT = `
import json, os, urllib.error, urllib.request, mlflow

def report(body, token=os.environ["MLFLOW_TRACKING_TOKEN"]):
    request = urllib.request.Request(
        os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/asgard/feature-reads", json.dumps(body).encode(),
        {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["message"]

view = json.loads(${JSON.stringify(JSON.stringify(VIEW))})
before = {"reads": [{**view, "features": ["orders", "age"]}]}
print(os.environ["ASGARD_FEATURE_PINS"])
print(report(before), report(before))
print(report(before, "asgard-job-of-nobody")[0])
print(report({"reads": [{**view, "features": []}]}))
print(report({"reads": [{**view, "features": ["f"], "snapshot_id": 8744736658442914487}]}))
print(report({"reads": [{**view, "features": ["f"]}] * 101})[0])
with mlflow.start_run() as run:
    within = {**view, "feature_view": "orders", "features": ["n"], "table": "iceberg.gold.empty", "snapshot_id": None}
    print(report({"reads": [within], "run_id": run.info.run_id}))
    client = mlflow.MlflowClient()
    name = os.environ["ASGARD_MODEL_NAME"]
    client.create_registered_model(name)
    client.create_model_version(name, run.info.artifact_uri + "/model", run.info.run_id)
with mlflow.start_run():
    pass
`;

const JOB = `query ($id: ID!) {
  trainingJob(id: $id) {
    featurePins { asOf snapshots { table snapshotId } }
    featureSnapshots { table snapshotId }
    featureReads { featureViewName features table snapshotId entityRows run { id } job { id } }
    runs { edges { node { id tags { key value } featureReads { featureViewName } } } }
    registeredVersions { edges { node { featureReads { featureViewName run { id } } } } }
  }
}`;

describe('what a script reads of the feature store', { timeout: JOB_LIMIT_MS }, () => {
  test('is on its job, its runs and its model, once, and only by its own token', async () => {
    const { job, stdout, said } = await jobs.run(SCRIPT, { features: PINNED });
    expect(stdout.slice(0, 7)).toEqual([
      '{"as_of":"2025-11-03T10:00:00.000Z","snapshots":{"iceberg.gold.a":"9"}}',
      '200 200',
      '401',
      expect.stringContaining("400, 'reads.0.features: "),
      expect.stringContaining("400, 'reads.0.snapshot_id: "),
      '400',
      '200',
    ]);
    expect(said).toContain(
      'Features of customer_features were read for 5 rows: age, orders; from iceberg.gold.customers at snapshot 8744736658442914487',
    );
    expect(job).toMatchObject({
      featurePins: { snapshots: PINNED.snapshots },
      featureReads: [{ featureViewName: 'customer_features', entityRows: 5 }, { featureViewName: 'orders' }],
      featureSnapshots: [{ table: READ.table, snapshotId: READ.snapshot_id }],
    });
    const { trainingJob } = await askGraphql(JOB, { id: job.id });
    const [first, second] = trainingJob.runs.edges.map(({ node }: { node: unknown }) => node);
    const run = { id: first.id };
    const customers = { featureViewName: 'customer_features', features: ['age', 'orders'], run: null };
    const orders = { featureViewName: 'orders', features: ['n'], table: 'iceberg.gold.empty', snapshotId: null, run };
    expect(trainingJob).toMatchObject({
      featurePins: { ...PINNED, asOf: '2025-11-03T10:00:00.000Z' },
      featureSnapshots: [{ table: READ.table, snapshotId: READ.snapshot_id }],
      featureReads: [
        { ...customers, table: READ.table, snapshotId: READ.snapshot_id, entityRows: 5, job: { id: job.id } },
        orders,
      ],
      registeredVersions: {
        edges: [{ node: { featureReads: [{ featureViewName: 'customer_features' }, { run }] } }],
      },
    });
    const read = { ...VIEW, features: ['age', 'orders'], run_id: null };
    const within = { feature_view: 'orders', features: ['n'], table: 'iceberg.gold.empty', snapshot_id: null };
    expect(await (await fetch(`${url}/mlops/training/jobs/${job.id}`)).json()).toMatchObject({
      features: { snapshots: { 'iceberg.gold.a': '9' } },
      feature_reads: [read, { ...within, run_id: first.id }],
      feature_snapshots: { [READ.table]: READ.snapshot_id },
    });
    const listed = await fetch(`${url}/mlops/training/jobs?feature_view=${VIEW.feature_view}`);
    expect((await listed.json()).jobs).toContainEqual(expect.objectContaining({ job_id: job.id }));
    const { items } = await jobs.client.jobs({ filter: { featureViewName: 'orders', modelName: job.modelName } });
    expect(items.map(({ id }) => id)).toEqual([job.id]);
    expect(first.featureReads).toEqual([{ featureViewName: 'customer_features' }, { featureViewName: 'orders' }]);
    expect(second.featureReads).toEqual([{ featureViewName: 'customer_features' }]);
    expect(first.tags).toEqual(
      expect.arrayContaining([
        { key: 'asgard.feature_views', value: 'customer_features,orders' },
        { key: 'asgard.feature_snapshots', value: `{"${READ.table}":"${READ.snapshot_id}"}` },
      ]),
    );
    const inputs = await Promise.all([first, second].map(({ id }) => datasetsOf(id)));
    const dataset = {
      name: 'customer_features',
      digest: READ.snapshot_id,
      source_type: 'iceberg',
      source: `{"table":"${READ.table}","snapshot_id":"${READ.snapshot_id}"}`,
      profile: '{"num_rows":5}',
    };
    expect(inputs).toEqual([[dataset, expect.objectContaining({ name: 'orders', digest: 'empty' })], [dataset]]);
  });
});

/** Reports one view under an alias and in another version, and a view that has the alias for its name; and makes a model. */
const ALIASED = `
import json, os, urllib.request, mlflow
read = {**json.loads(${JSON.stringify(JSON.stringify(READ))}), "features": ["n"]}
how = {"join_keys": {"customer_id": "buyer_id"}, "full_feature_names": True}
reads = [{**read, "feature_view": called, "retrieval": {"view": view, **how}} for called, view in names]
body = json.dumps({"reads": reads}).encode()
urllib.request.urlopen(urllib.request.Request(
    os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/asgard/feature-reads", body,
    {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"}))
with mlflow.start_run() as run:
    client = mlflow.MlflowClient()
    client.create_registered_model(os.environ["ASGARD_MODEL_NAME"])
    client.create_model_version(os.environ["ASGARD_MODEL_NAME"], run.info.artifact_uri + "/model", run.info.run_id)
`;

test('a view that was read under an alias knows its jobs and models, and one of the alias’s name does not', {
  timeout: JOB_LIMIT_MS,
}, async () => {
  const [view = '', alias = ''] = ['purchases', 'buyers'].map((word) => uniqueName(word).replaceAll('-', '_'));
  for (const name of [view, alias]) await applyView(name);
  const names = JSON.stringify([
    [alias, view],
    [`${view}@v2`, view],
  ]);
  const { job } = await jobs.run(`names = ${names}\n${ALIASED}`);
  const usedBy = `query ($name: String!) { featureView(name: $name) {
    jobs { edges { node { id featureReads { featureViewName featureView { name } } } } }
    modelVersions { edges { node { name } } } } }`;
  const { featureView } = await askGraphql(usedBy, { name: view });
  const featureReads = [alias, `${view}@v2`].map((called) => ({
    featureViewName: called,
    featureView: { name: view },
  }));
  expect(featureView).toEqual({
    jobs: { edges: [{ node: { id: job.id, featureReads } }] },
    modelVersions: { edges: [{ node: { name: job.modelName } }] },
  });
  const none = { edges: [] };
  expect((await askGraphql(usedBy, { name: alias })).featureView).toEqual({ jobs: none, modelVersions: none });
  const listed = async (name: string) =>
    (await jobs.client.jobs({ filter: { featureViewName: name } })).items.map(({ id }) => id);
  expect([await listed(view), await listed(alias)]).toEqual([[job.id], []]);
});

async function applyView(name: string): Promise<void> {
  const send = async (method: string, path: string, type: string, body: string) => {
    const answer = await fetch(`${url}${path}`, { method, headers: { 'content-type': type }, body });
    expect(answer.status, await answer.clone().text()).toBe(201);
  };
  await send('PUT', `/iceberg/tables/gold/${name}`, 'text/csv', 'customer_id,at,n\n1,2025-10-01T00:00:00Z,1\n');
  const features = [{ name: 'n', dtype: 'int64' }];
  const view = { name, entities: ['customer_id'], features, source: { table_name: name } };
  await send('POST', '/feast/features', 'application/json', JSON.stringify(view));
}

test('a job that is held to what cannot be is refused with the field', async () => {
  const hold = (features: object) => jobs.submit('pass', { features: features as typeof PINNED });
  const of = (...path: string[]) => ({ code: 'INVALID_INPUT', issues: [expect.objectContaining({ path })] });
  await expect(hold({ asOf: '2999-01-01T00:00:00Z' })).rejects.toMatchObject(of('features', 'asOf'));
  const snapshot = (table: string, snapshotId: string) => ({ snapshots: [{ table, snapshotId }] });
  await expect(hold(snapshot('gold.a', '1'))).rejects.toMatchObject(of('features', 'snapshots', 'gold.a'));
  await expect(hold(snapshot('i.g.a', '9223372036854775808'))).rejects.toMatchObject(
    of('features', 'snapshots', 'i.g.a'),
  );
  const twice = { snapshots: [...snapshot('i.g.a', '1').snapshots, ...snapshot('i.g.a', '2').snapshots] };
  await expect(hold(twice)).rejects.toMatchObject(of('features', 'snapshots', 'i.g.a'));
});

test('REST takes and shows what a job is held to in the same form, and names what is wrong', async () => {
  const name = uniqueName('pinned');
  const upload = async (features: unknown) => {
    const body = { script_name: 's.py', script_content: 'pass', experiment_name: name, model_name: name, features };
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/mlops/training/upload`, { method: 'POST', headers, body: JSON.stringify(body) });
    return answer.json();
  };
  const features = { as_of: '2025-11-03T10:00:00.000Z', snapshots: { 'iceberg.gold.a': '9' } };
  const job = await upload(features);
  expect(job).toMatchObject({ status: 'queued', features });
  await jobs.client.cancel(job.job_id).catch(() => {});
  expect(await upload(undefined)).not.toHaveProperty('features');
  const wrong = await upload({ as_of: 'yesterday', snapshots: { 'iceberg.gold.a': 9 } });
  expect(wrong.detail.map(({ loc }: { loc: string[] }) => loc.join('/'))).toEqual([
    'body/features/as_of',
    'body/features/snapshots/iceberg.gold.a',
  ]);
});

async function datasetsOf(runId: string): Promise<unknown> {
  const answer = await fetch(`${mlflowUrl}/api/2.0/mlflow/runs/get?run_id=${runId}`);
  const { run } = await answer.json();
  const datasets = run.inputs.dataset_inputs.map(({ dataset }: { dataset: object }) => dataset);
  return datasets.toSorted((a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1));
}
