import { afterAll, beforeAll, expect, it } from 'vitest';
import { claimJobs } from '../../src/jobs/queue.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

/** As many of everything as the largest list shows. */
const MANY = 30;
const FEW = 3;

let mlflow: MlflowForTests;
let api: GraphqlForTests;

beforeAll(async () => {
  mlflow = await startMlflow();
  api = await startGraphql(mlflow.url);
  for (let index = 0; index < MANY; index += 1) await addAll(`thing ${String(index).padStart(2, '0')}`);
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});

// biome-ignore lint/suspicious/noExplicitAny: each endpoint of MLflow answers in its own shape
async function call(endpoint: string, content: object): Promise<any> {
  const response = await fetch(`${mlflow.url}/api/2.0/mlflow/${endpoint}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(content),
  });
  expect(response.status).toBe(200);
  return response.json();
}

/** An experiment with a run, a model with two versions, and the job that made them. */
async function addAll(name: string): Promise<void> {
  const { experiment_id: experimentId } = await call('experiments/create', { name });
  const { run } = await call('runs/create', { experiment_id: experimentId, run_name: name, start_time: 1 });
  const runId: string = run.info.run_id;
  await call('runs/log-batch', { run_id: runId, metrics: [{ key: 'f1', value: 1, timestamp: 1, step: 0 }] });
  await call('registered-models/create', { name });
  const { id } = await api.services.jobs.submit({ ...SUBMISSION, experimentName: name, modelName: name });
  for (const version of ['1', '2']) {
    await call('model-versions/create', { name, run_id: runId, source: `${run.info.artifact_uri}/model` });
    await api.database.jobModelVersion.create({ data: { name, version, jobId: id } });
  }
  const copies = { create: { machine: 'here', place: '/environments', status: 'READY' as const } };
  await api.database.environment.create({ data: { hash: name, lock: 'numpy==2.4.0\n', python: '3.12.3', copies } });
  const data = { runId, modelVersion: '2', environmentHash: name };
  await api.database.trainingJob.update({ where: { id }, data });
  const [claim] = await claimJobs(api.database, workerNamed('worker'), 1);
  const attemptId = claim?.id ?? 0n;
  await api.database.jobRun.create({ data: { jobId: id, attemptId, runId, experimentId } });
  const read = {
    featureView: 'view',
    table: 'iceberg.gold.t',
    features: ['f'],
    entityRows: 1,
    digest: Buffer.from('d'),
  };
  await api.database.jobFeatureRead.create({ data: { jobId: id, attemptId, ...read } });
}

const RUN = 'id name metrics { key value } params { key } tags { key }';
const VERSION = 'name version aliases tags { key }';

it.each([
  [
    'jobs → everything of their own',
    'trainingJobs',
    'id status script tags { key } environmentVariables { name } elapsedSeconds',
  ],
  ['jobs → attempts', 'trainingJobs', 'isUnreachable attempts { number status isUnreachable maxRssBytes }'],
  ['jobs → events, log', 'trainingJobs', 'logText events(first: 2) { sequence } of: events(types: [LOG]) { sequence }'],
  ['jobs → run → metrics, experiment', 'trainingJobs', `run { ${RUN} experiment { id name } job { status } }`],
  [
    'jobs → experiment → runs',
    'trainingJobs',
    `experiment { runs(first: 2) { edges { node { ${RUN} job { id } } } } }`,
  ],
  ['jobs → runs → experiment', 'trainingJobs', `runs(first: 2) { edges { node { ${RUN} experiment { name } } } }`],
  [
    'jobs → model version → model → versions → run',
    'trainingJobs',
    `modelVersion { ${VERSION} run { ${RUN} } model { description versions(first: 2) { edges { node { ${VERSION} run { id } } } } } }`,
  ],
  [
    'jobs → registered versions → job, model',
    'trainingJobs',
    `registeredVersions(first: 2) { edges { node { ${VERSION} job { status } model { latestVersion { version } } } } }`,
  ],
  [
    'experiments → runs → job → model version',
    'experiments',
    `name tags { key } runs(first: 2, orderBy: { metric: "f1" }, filter: { statuses: [RUNNING] }) {
      edges { node { ${RUN} job { status modelVersion { version } } } } }`,
  ],
  [
    'jobs → environment → models',
    'trainingJobs',
    `environment { hash status packages { name version } models(first: 2) { edges { node { ${VERSION} } } } }`,
  ],
  [
    'environments → copies, models → job',
    'environments',
    `hash pythonVersion lock status failure buildSeconds sizeBytes lastUsedAt copies { machine status }
      models(first: 2) { edges { node { ${VERSION} job { id } } } }`,
  ],
  [
    'environments → jobs → run, environment',
    'environments',
    `jobs(first: 2) { edges { node { status run { ${RUN} } environment { status } } } }`,
  ],
  [
    'jobs → feature reads, of model version too',
    'trainingJobs',
    `featureReads { table run { id } job { status } } modelVersion { featureReads { table } }`,
  ],
  ['jobs → run → feature reads', 'trainingJobs', 'featureSnapshots { table } run { featureReads { table } }'],
  [
    'models → versions → job → run',
    'models',
    `name latestVersion { ${VERSION} } versions(first: 2) { edges { node { ${VERSION} job { id run { name } } run { ${RUN} } } } }`,
  ],
])('%s costs as much for 30 as for 3', async (_name, list, fields) => {
  const cost = async (first: number) => {
    api.mlflowRequests.length = 0;
    api.databaseQueries.length = 0;
    // Those that exist beside the ones made here are left out, so that no list is an odd one.
    const search = ['trainingJobs', 'environments'].includes(list) ? '' : ', search: "thing"';
    const { body } = await post(api.url, `{ ${list}(first: ${first}${search}) { edges { node { ${fields} } } } }`);
    expect(body.errors).toBeUndefined();
    expect(body.data[list].edges).toHaveLength(first);
    return { upstream: api.mlflowRequests.toSorted(), statements: api.databaseQueries.length };
  };
  const few = await cost(FEW);
  expect(await cost(MANY)).toEqual(few);
  expect(few.statements).toBeLessThan(10);
  expect(few.upstream.length).toBeLessThan(6);
});
