import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';

const JOBS = 50;
const EXPERIMENTS = ['churn', 'fraud', 'price'];

let mlflow: MlflowForTests;
let api: GraphqlForTests;
const experimentIds: string[] = [];
/** By job: `jobs[n]` created `runs[n]` and version `n + 1` of `churn_model`. */
const runs: string[] = [];
const jobs: string[] = [];
/** Of the model of `runs[0]`. */
let source = '';

beforeAll(async () => {
  mlflow = await startMlflow();
  api = await startGraphql(mlflow.url);
  for (const name of EXPERIMENTS) {
    experimentIds.push((await call('experiments/create', { name })).experiment_id);
  }
  await call('registered-models/create', { name: 'churn_model', description: 'who leaves' });
  for (let index = 0; index < JOBS; index += 1) {
    const experimentName = EXPERIMENTS[index % EXPERIMENTS.length] ?? '';
    const experimentId = experimentIds[index % EXPERIMENTS.length] ?? '';
    const { run } = await call('runs/create', {
      experiment_id: experimentId,
      run_name: `run ${index}`,
      start_time: 1_700_000_000_000 + index,
    });
    const runId = run.info.run_id;
    await call('runs/log-batch', {
      run_id: runId,
      metrics: [{ key: 'f1', value: index / 100, timestamp: 1_700_000_000_000, step: 3 }],
      params: [{ key: 'depth', value: '4' }],
    });
    if (index === 0) source = `${run.info.artifact_uri}/model`;
    const version = await createVersion('churn_model', `${run.info.artifact_uri}/model`, runId);
    const { id } = await api.services.jobs.submit({ ...SUBMISSION, experimentName });
    await api.database.trainingJob.update({ where: { id }, data: { runId, modelVersion: version } });
    await api.database.jobRun.create({ data: { jobId: id, runId, experimentId } });
    await api.database.jobModelVersion.create({ data: { name: 'churn_model', version, jobId: id } });
    runs.push(runId);
    jobs.push(id);
  }
});

beforeEach(() => {
  api.mlflowRequests.length = 0;
  api.databaseQueries.length = 0;
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});

describe('a page of jobs', () => {
  it('with run and experiment costs one search of runs and one of experiments', async () => {
    const data = await read(`{ trainingJobs(first: ${JOBS}) { edges { node {
      id run { id metrics { key value step } params { key value } } experiment { name } } } } }`);
    expect(data.trainingJobs.edges).toHaveLength(JOBS);
    const node = data.trainingJobs.edges.find((edge: { node: { id: string } }) => edge.node.id === jobs[7]).node;
    expect(node).toEqual({
      id: jobs[7],
      run: { id: runs[7], metrics: [{ key: 'f1', value: 0.07, step: 3 }], params: [{ key: 'depth', value: '4' }] },
      experiment: { name: 'fraud' },
    });
    expect(api.mlflowRequests.toSorted()).toEqual([
      'POST /api/2.0/mlflow/experiments/search',
      'POST /api/2.0/mlflow/runs/search',
    ]);
  });

  it('with everything that hangs on it costs one search for each kind of thing', async () => {
    const data = await read(`{ trainingJobs(first: ${JOBS}) { edges { node {
      id
      run { id experiment { id } job { id } }
      runs(first: 5) { edges { node { id } } pageInfo { hasNextPage } }
      modelVersion { version run { id } job { id } model { name } }
      registeredVersions { edges { node { version } } }
    } } } }`);
    for (const { node } of data.trainingJobs.edges) {
      const index = jobs.indexOf(node.id);
      expect(node).toEqual({
        id: jobs[index],
        run: { id: runs[index], experiment: { id: experimentIds[index % 3] }, job: { id: jobs[index] } },
        runs: { edges: [{ node: { id: runs[index] } }], pageInfo: { hasNextPage: false } },
        modelVersion: {
          version: String(index + 1),
          run: { id: runs[index] },
          job: { id: jobs[index] },
          model: { name: 'churn_model' },
        },
        registeredVersions: { edges: [{ node: { version: String(index + 1) } }] },
      });
    }
    expect(api.mlflowRequests.toSorted()).toEqual([
      'GET /api/2.0/mlflow/model-versions/search',
      'GET /api/2.0/mlflow/registered-models/search',
      'POST /api/2.0/mlflow/experiments/search',
      'POST /api/2.0/mlflow/runs/search',
    ]);
    // A script can be a megabyte.
    expect(api.databaseQueries.filter((sql) => sql.includes('"script"'))).toEqual([]);
    expect(api.databaseQueries.length).toBeLessThan(12);
  });
});

describe('a page of parents', () => {
  it('of experiments with their runs costs two searches of runs, whichever runs are newest', async () => {
    const data = await read(`{ experiments(first: 20) { edges { node {
      name runs(first: 3) { edges { node { id } } pageInfo { hasNextPage } } } } } }`);
    const newestOf = (remainder: number) =>
      runs
        .filter((_, index) => index % 3 === remainder)
        .toReversed()
        .slice(0, 3)
        .map((id) => ({ node: { id } }));
    const found = new Map(data.experiments.edges.map(({ node }: { node: { name: string } }) => [node.name, node]));
    for (const [index, name] of EXPERIMENTS.entries()) {
      expect(found.get(name)).toEqual({ name, runs: { edges: newestOf(index), pageInfo: { hasNextPage: true } } });
    }
    expect(found.get('Default')).toMatchObject({ runs: { edges: [], pageInfo: { hasNextPage: false } } });
    // The second for Default, which the runs of the others crowd out.
    expect(api.mlflowRequests.toSorted()).toEqual([
      'POST /api/2.0/mlflow/experiments/search',
      'POST /api/2.0/mlflow/runs/search',
      'POST /api/2.0/mlflow/runs/search',
    ]);
  });

  it('of jobs with the runs of their experiments costs one search of each', async () => {
    await read(`{ trainingJobs(first: ${JOBS}) { edges { node { experiment {
      runs(first: 3) { edges { node { id } } } more: runs(first: 10) { edges { node { id } } } } } } } }`);
    expect(api.mlflowRequests.toSorted()).toEqual([
      'POST /api/2.0/mlflow/experiments/search',
      'POST /api/2.0/mlflow/runs/search',
    ]);
  });

  it('of models with their versions and aliases costs two searches of versions, and none for aliases', async () => {
    for (const name of ['fraud_model', 'price_model']) {
      await call('registered-models/create', { name });
      for (let index = 0; index < 2; index += 1) {
        await createVersion(name);
      }
    }
    await call('registered-models/alias', { name: 'fraud_model', alias: 'champion', version: '1' });
    await call('registered-models/alias', { name: 'fraud_model', alias: 'first', version: '1' });
    api.mlflowRequests.length = 0;
    const data = await read(`{ models(first: 20) { edges { node {
      name
      latestVersion { aliases }
      two: versions(first: 2) { edges { node { version aliases } } pageInfo { hasNextPage } }
      one: versions(first: 1) { edges { node { version } } pageInfo { hasNextPage } }
    } } } }`);
    const two = (edges: object[], hasNextPage: boolean) => ({
      edges: edges.map((node) => ({ node })),
      pageInfo: { hasNextPage },
    });
    const plain = (version: string) => ({ version, aliases: [] });
    expect(data.models.edges.map(({ node }: { node: object }) => node)).toEqual([
      {
        name: 'churn_model',
        latestVersion: { aliases: [] },
        two: two([plain('50'), plain('49')], true),
        one: two([{ version: '50' }], true),
      },
      {
        name: 'fraud_model',
        latestVersion: { aliases: [] },
        two: two([plain('2'), { version: '1', aliases: ['champion', 'first'] }], false),
        one: two([{ version: '2' }], true),
      },
      {
        name: 'price_model',
        latestVersion: { aliases: [] },
        two: two([plain('2'), plain('1')], false),
        one: two([{ version: '2' }], true),
      },
    ]);
    // The second for the two models that the 50 versions of churn_model crowd out.
    expect(api.mlflowRequests.toSorted()).toEqual([
      'GET /api/2.0/mlflow/model-versions/search',
      'GET /api/2.0/mlflow/model-versions/search',
      'GET /api/2.0/mlflow/registered-models/search',
    ]);
  });

  it('goes on from a first page without loss or repetition', async () => {
    const page = async (after: string | null) => {
      const query = `query ($after: String) { experiment(name: "price") { runs(first: 7, after: $after) {
        edges { cursor node { id } } pageInfo { hasNextPage endCursor } } } }`;
      return (await read(query, { after })).experiment.runs;
    };
    const all = runs.filter((_, index) => index % 3 === 2).toReversed();
    const idsOf = ({ edges }: { edges: { node: { id: string } }[] }) => edges.map(({ node }) => node.id);
    const first = await page(null);
    const second = await page(first.pageInfo.endCursor);
    const third = await page(second.pageInfo.endCursor);
    expect([first, second, third].flatMap(idsOf)).toEqual(all);
    expect(third.pageInfo.hasNextPage).toBe(false);
    expect(idsOf(await page(first.edges[2].cursor))).toEqual(all.slice(3, 10));
  });

  it('refuses a size out of range for each parent', async () => {
    for (const size of [0, 101]) {
      for (const query of [
        `{ experiment(name: "price") { runs(first: ${size}) { pageInfo { endCursor } } } }`,
        `{ model(name: "churn_model") { versions(first: ${size}) { pageInfo { endCursor } } } }`,
      ]) {
        const { body } = await post(api.url, query);
        expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['first'] }] } }]);
      }
    }
  });
});

describe('the versions of a job', () => {
  it('go on behind those that were deleted', async () => {
    await call('registered-models/create', { name: 'fading' });
    const { id } = await api.services.jobs.submit(SUBMISSION);
    for (const version of ['1', '2', '3']) {
      await createVersion('fading');
      await api.database.jobModelVersion.create({ data: { name: 'fading', version, jobId: id } });
    }
    for (const version of ['1', '2']) await call('model-versions/delete', { name: 'fading', version }, 'DELETE');
    const page = async (after: string | null) => {
      const query = `query ($id: ID!, $after: String) { trainingJob(id: $id) { registeredVersions(first: 2, after: $after) {
        edges { node { version } } pageInfo { hasNextPage endCursor } } } }`;
      return (await read(query, { id, after })).trainingJob.registeredVersions;
    };
    const first = await page(null);
    expect(first).toEqual({ edges: [], pageInfo: { hasNextPage: true, endCursor: expect.any(String) } });
    const second = await page(first.pageInfo.endCursor);
    expect(second).toMatchObject({ edges: [{ node: { version: '3' } }], pageInfo: { hasNextPage: false } });
    expect((await page(second.pageInfo.endCursor)).pageInfo).toEqual({ hasNextPage: false, endCursor: null });
  });
});

describe('lists of MLflow', () => {
  it('page without loss or repetition from any cursor on', async () => {
    const names = ['charge', 'delay', 'energy', 'fuel'];
    for (const name of names) await call('experiments/create', { name });
    const all = ['fuel', 'energy', 'delay', 'charge', 'price', 'fraud', 'churn', 'Default'];
    const page = async (first: number, after?: string) => {
      const { experiments } = await read(
        `query ($first: Int, $after: String) { experiments(first: $first, after: $after) {
          edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage endCursor } } }`,
        { first, after: after ?? null },
      );
      const found: string[] = experiments.edges.map((edge: { node: { name: string } }) => edge.node.name);
      return {
        found,
        cursors: experiments.edges.map(({ cursor }: { cursor: string }) => cursor),
        ...experiments.pageInfo,
      };
    };
    const first = await page(3);
    expect(first).toMatchObject({ found: all.slice(0, 3), hasNextPage: true, hasPreviousPage: false });
    const second = await page(3, first.endCursor);
    expect(second).toMatchObject({ found: all.slice(3, 6), hasNextPage: true, hasPreviousPage: true });
    expect(await page(100, second.endCursor)).toMatchObject({ found: all.slice(6), hasNextPage: false });
    // From the middle of a page, and from the middle of a page that began so.
    const middle = await page(4, second.cursors[0]);
    expect(middle.found).toEqual(all.slice(4, 8));
    expect((await page(2, middle.cursors[1])).found).toEqual(all.slice(6, 8));
  });

  it('refuse a cursor that is none, and a page of no or too many items', async () => {
    for (const args of ['after: "rubbish"', 'first: 0', 'first: 101']) {
      const { body } = await post(api.url, `{ experiments(${args}) { edges { cursor } } }`);
      expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT' });
    }
  });

  it('give the runs of an experiment, the newest first', async () => {
    const data = await read('{ experiment(name: "fraud") { id runs(first: 2) { edges { node { id job { id } } } } } }');
    expect(data.experiment.id).toBe(experimentIds[1]);
    expect(data.experiment.runs.edges).toEqual([
      { node: { id: runs[49], job: { id: jobs[49] } } },
      { node: { id: runs[46], job: { id: jobs[46] } } },
    ]);
  });

  it('give models with their versions, the newest first', async () => {
    const data = await read(`{ models(search: "CHURN") { edges { node {
      name description latestVersion { version status job { id } }
      versions(first: 2) { edges { node { version } } pageInfo { hasNextPage } } } } } }`);
    expect(data.models.edges).toEqual([
      {
        node: {
          name: 'churn_model',
          description: 'who leaves',
          latestVersion: { version: '50', status: 'READY', job: { id: jobs[49] } },
          versions: {
            edges: [{ node: { version: '50' } }, { node: { version: '49' } }],
            pageInfo: { hasNextPage: true },
          },
        },
      },
    ]);
  });
});

describe('a look-up', () => {
  it('of one thing gives it', async () => {
    const data = await read(
      `query ($run: ID!, $experiment: ID!) {
        run(id: $run) { name status experiment { name } }
        experiment(id: $experiment) { name isDeleted }
        model(name: "churn_model") { name }
        modelVersion(name: "churn_model", version: "3") { version source aliases run { id } }
      }`,
      { run: runs[0], experiment: experimentIds[0] },
    );
    expect(data).toMatchObject({
      run: { name: 'run 0', status: 'RUNNING', experiment: { name: 'churn' } },
      experiment: { name: 'churn', isDeleted: false },
      model: { name: 'churn_model' },
      modelVersion: { version: '3', aliases: [], run: { id: runs[2] } },
    });
  });

  it('of what does not exist is null', async () => {
    const data = await read(`{
      run(id: "nope") { id } experiment(id: "99999") { id } named: experiment(name: "nope") { id }
      model(name: "nope") { name } modelVersion(name: "churn_model", version: "99") { version }
      odd: modelVersion(name: "a/b", version: "x") { version }
    }`);
    expect(data).toEqual({ run: null, experiment: null, named: null, model: null, modelVersion: null, odd: null });
    const impossible = await read(
      `query ($id: ID!, $name: String!) { run(id: $id) { id } experiment(name: $name) { id } model(name: $name) { name }
        modelVersion(name: $name, version: "1") { version } }`,
      { id: 'a\0b', name: 'a\0b' },
    );
    expect(impossible).toEqual({ run: null, experiment: null, model: null, modelVersion: null });
  });
});

async function read(query: string, variables: Record<string, unknown> = {}) {
  const { body } = await post(api.url, query, variables);
  expect(body.errors).toBeUndefined();
  return body.data;
}

/** @returns the new version's number */
async function createVersion(name: string, from = source, runId = runs[0]): Promise<string> {
  return (await call('model-versions/create', { name, source: from, run_id: runId })).model_version.version;
}

async function call(endpoint: string, body: object, method = 'POST') {
  const response = await fetch(`${mlflow.url}/api/2.0/mlflow/${endpoint}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${endpoint}: ${await response.text()}`);
  // biome-ignore lint/suspicious/noExplicitAny: MLflow's answers, which the tests know
  return (await response.json()) as any;
}
