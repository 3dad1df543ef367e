import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';
import { uniqueName } from '../support/unique-name.ts';

let server: MlflowForTests;
let mlflow: MlflowClient;
let api: GraphqlForTests;
const name = uniqueName('churn');
/** The first and the second version's. */
let jobs: string[] = [];
let runs: string[] = [];

const LOCKS = ['numpy==2.1.0\npandas==2.2.3\n', 'numpy==2.1.0\npandas==2.3.0\nxgboost==3.0.0\n'];
const SCRIPTS = ['import mlflow\ndepth = 3\nprint(depth)\n', 'import mlflow\ndepth = 5\nprint(depth)\nprint("done")\n'];
const PARAMS = [
  { depth: '3', kind: 'forest' },
  { depth: '5', kind: 'forest', eta: '0.1' },
];
const SNAPSHOTS = ['8744736658442914487', '12'];

beforeAll(async () => {
  server = await startMlflow();
  mlflow = new MlflowClient({ baseUrl: () => server.url });
  api = await startGraphql(server.url);
  await mlflow.createRegisteredModel(name);
  for (const index of [0, 1]) {
    const made = await versionOfJob(index);
    jobs = [...jobs, made.jobId];
    runs = [...runs, made.runId];
  }
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

async function call(endpoint: string, content: object) {
  const answer = await fetch(`${server.url}/api/2.0/mlflow/${endpoint}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(content),
  });
  return answer.json();
}

/** A job that has ended, with all that it left: environment, run, reads of features and a version. */
async function versionOfJob(index: number) {
  const { database, services } = api;
  const hash = `${index}`.repeat(16);
  await database.environment.create({ data: { hash, lock: LOCKS[index] ?? '', python: `3.12.${index}` } });
  const { id: jobId } = await services.jobs.submit({ ...SUBMISSION, script: SCRIPTS[index] ?? '', modelName: name });
  const { id: attemptId } = await database.jobAttempt.create({
    data: { jobId, number: 1, workerId: 'w', leaseExpiresAt: new Date(0) },
  });
  const { run } = await call('runs/create', { experiment_id: '0', run_name: `run ${index}` });
  const runId: string = run.info.run_id;
  const params = Object.entries(PARAMS[index] ?? {}).map(([key, value]) => ({ key, value }));
  const metrics = [{ key: 'f1', value: index === 0 ? 'NaN' : 0.75, timestamp: 1, step: 0 }];
  await call('runs/log-batch', { run_id: runId, params, metrics });
  await database.jobRun.create({ data: { jobId, runId, attemptId, experimentId: '0' } });
  const read = {
    jobId,
    attemptId,
    table: 'iceberg.gold.customers',
    entityRows: 5n,
    snapshotId: SNAPSHOTS[index] ?? '',
  };
  const views = [
    { featureView: 'customers', features: ['age', 'orders'] },
    ...(index === 0 ? [] : [{ featureView: 'visits', features: ['n'] }]),
  ];
  for (const view of views) {
    await database.jobFeatureRead.create({ data: { ...read, ...view, runId, digest: Buffer.from(view.featureView) } });
  }
  const { version } = await mlflow.createModelVersion({ name, source: 's3://nothing/there', runId });
  await database.jobModelVersion.create({ data: { name, version, jobId, attemptId } });
  const ended = {
    status: 'COMPLETED',
    runId,
    modelVersion: version,
    environmentHash: hash,
    completedAt: new Date(),
  } as const;
  await database.trainingJob.update({ where: { id: jobId }, data: ended });
  return { jobId, runId };
}

async function rest(path: string): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${api.url}${path}`);
  return { status: answer.status, body: await answer.json() };
}

async function ask(query: string, variables: Record<string, unknown> = {}) {
  const { body } = await post(api.url, query, variables);
  expect(body.errors).toBeUndefined();
  return body.data;
}

describe('a version leads to', () => {
  test('its run, job, script, environment and features, in one query', async () => {
    const LINEAGE = `query ($name: String!) { modelVersion(name: $name, version: "2") {
      run { id params { key value } }
      job { id script environment { pythonVersion packages { name version } } featureSnapshots { table snapshotId } }
      featureReads { featureViewName table snapshotId features } } }`;
    expect((await ask(LINEAGE, { name })).modelVersion).toEqual({
      run: { id: runs[1], params: expect.arrayContaining([{ key: 'eta', value: '0.1' }]) },
      job: {
        id: jobs[1],
        script: SCRIPTS[1],
        environment: {
          pythonVersion: '3.12.1',
          packages: expect.arrayContaining([{ name: 'xgboost', version: '3.0.0' }]),
        },
        featureSnapshots: [{ table: 'iceberg.gold.customers', snapshotId: '12' }],
      },
      featureReads: [
        expect.objectContaining({ featureViewName: 'customers', snapshotId: '12' }),
        expect.objectContaining({ featureViewName: 'visits', features: ['n'] }),
      ],
    });
  });

  test('the same over REST; a version that no job made has none of it', async () => {
    expect(await rest(`/mlops/models/${name}/versions/1`)).toMatchObject({
      status: 200,
      body: {
        name,
        version: '1',
        stage: 'None',
        run_id: runs[0],
        run: { run_id: runs[0], params: PARAMS[0], metrics: { f1: 'NaN' } },
        job: { job_id: jobs[0], status: 'completed', script: SCRIPTS[0] },
        environment: { python_version: '3.12.0', packages: { numpy: '2.1.0', pandas: '2.2.3' } },
        feature_reads: [{ feature_view: 'customers', features: ['age', 'orders'], snapshot_id: SNAPSHOTS[0] }],
      },
    });
    const alone = uniqueName('alone');
    await mlflow.createRegisteredModel(alone);
    await mlflow.createModelVersion({ name: alone, source: 's3://nothing/there' });
    expect(await rest(`/mlops/models/${alone}/versions/1`)).toMatchObject({
      body: { run_id: null, run: null, job: null, environment: null, feature_reads: [] },
    });
    for (const [odd, what] of [
      ['9', 'has no version 9: it has 2, 1'],
      ['x%00', 'has no version'],
    ]) {
      expect(await rest(`/mlops/models/${name}/versions/${odd}`)).toMatchObject({
        status: 404,
        body: { detail: expect.stringContaining(what ?? '') },
      });
    }
  });
});

describe('a comparison', () => {
  test('shows scripts, packages, params, metrics and features of two versions, and of their jobs alike', async () => {
    const COMPARISON = `fragment All on Comparison {
      compared { job { id } run { id } }
      params { key isSame values } metrics { key isSame values texts } isCut
      differences {
        compared { job { id } }
        script { unified addedLines removedLines isCut }
        pythonBefore pythonAfter packages { name before after }
        features { featureViewName before { snapshotIds } after { features snapshotIds } }
      } }`;
    const { versions, jobs: ofJobs } = await ask(
      `${COMPARISON} query ($ids: [ID!]!, $versions: [ModelVersionName!]!) {
        versions: compareModelVersions(versions: $versions) { ...All compared { modelVersion { version } } }
        jobs: compareJobs(ids: $ids) { ...All } }`,
      { ids: jobs, versions: ['1', '2'].map((version) => ({ name, version })) },
    );
    expect(versions).toMatchObject({
      ...ofJobs,
      compared: [{ modelVersion: { version: '1' } }, { modelVersion: { version: '2' } }],
    });
    const [difference] = ofJobs.differences;
    expect(ofJobs).toMatchObject({
      params: [
        { key: 'depth', isSame: false, values: ['3', '5'] },
        { key: 'eta', isSame: false, values: [null, '0.1'] },
        { key: 'kind', isSame: true, values: ['forest', 'forest'] },
      ],
      metrics: [{ key: 'f1', isSame: false, values: [null, 0.75], texts: ['NaN', '0.75'] }],
      isCut: false,
    });
    expect(difference).toMatchObject({
      compared: { job: { id: jobs[1] } },
      script: { addedLines: 2, removedLines: 1, isCut: false },
      pythonBefore: '3.12.0',
      pythonAfter: '3.12.1',
      packages: [
        { name: 'pandas', before: '2.2.3', after: '2.3.0' },
        { name: 'xgboost', before: null, after: '3.0.0' },
      ],
      features: [
        { featureViewName: 'customers', before: { snapshotIds: [SNAPSHOTS[0]] }, after: { snapshotIds: ['12'] } },
        { featureViewName: 'visits', before: null, after: { features: ['n'] } },
      ],
    });
    expect(difference.script.unified.split('\n')).toEqual([
      `--- ${jobs[0]}/train.py`,
      `+++ ${jobs[1]}/train.py`,
      '@@ -1,3 +1,4 @@',
      ' import mlflow',
      '-depth = 3',
      '+depth = 5',
      ' print(depth)',
      '+print("done")',
      '',
    ]);
  });

  test('over REST has the same facts', async () => {
    const { body } = await rest(`/mlops/compare?version=${name}/1&version=${name}/2`);
    expect(body).toMatchObject({
      compared: [
        { job_id: jobs[0], run_id: runs[0], model_name: name, model_version: '1' },
        { job_id: jobs[1], model_version: '2' },
      ],
      metrics: [{ key: 'f1', values: ['NaN', 0.75] }],
      differences: [
        {
          script: { added_lines: 2, removed_lines: 1 },
          packages: [{ name: 'pandas' }, { name: 'xgboost', before: null, after: '3.0.0' }],
          features: [{ feature_view: 'customers' }, { feature_view: 'visits', before: null }],
        },
      ],
    });
    expect(await rest(`/mlops/compare?job=${jobs[0]}&job=${jobs[0]}`)).toMatchObject({
      body: { differences: [{ script: { unified: '' }, python: null, packages: [], features: [] }] },
    });
  });

  test('of too few, too many or what is not there is refused', async () => {
    const refused = (path: string) => rest(`/mlops/compare${path}`).then(({ status }) => status);
    expect(await refused('')).toBe(422);
    expect(await refused(`?job=${jobs[0]}`)).toBe(422);
    expect(await refused(`?job=${jobs[0]}&job=${jobs[1]}&version=a/1&version=a/2`)).toBe(422);
    expect(await refused(`?job=${jobs[0]}&job=${'0'.repeat(16)}`)).toBe(404);
    expect(await refused(`?version=${name}/1&version=${name}/9`)).toBe(404);
    const { body } = await post(api.url, '{ compareJobs(ids: ["0"]) { isCut } }');
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['ids'] }] } }]);
  });

  test('of scripts of a megabyte with nothing in common is given up, and says so', async () => {
    const text = (word: string) => Array.from({ length: 60_000 }, (_, line) => `${word} = ${line}`).join('\n');
    const submit = (word: string) => api.services.jobs.submit({ ...SUBMISSION, script: text(word) });
    const ids = (await Promise.all([submit('first'), submit('second')])).map(({ id }) => id);
    const { compareJobs } = await ask(
      'query ($ids: [ID!]!) { compareJobs(ids: $ids) { differences { script { unified addedLines } packages { name } } } }',
      { ids },
    );
    expect(compareJobs.differences).toEqual([{ script: { unified: null, addedLines: 0 }, packages: null }]);
  });
});
