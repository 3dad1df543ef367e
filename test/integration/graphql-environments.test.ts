import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Prisma } from '../../src/database/generated/client.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { allPages } from '../support/pages.ts';
import { SUBMISSION } from '../support/submission.ts';
import { uniqueName } from '../support/unique-name.ts';

const LOCK =
  'numpy==2.4.0\nscikit-learn[extra]==1.9.0 ; python_version > "3"\n# a remark\ntiny @ http://there/tiny.whl\n';

let mlflow: MlflowForTests;
let api: GraphqlForTests;

beforeAll(async () => {
  mlflow = await startMlflow();
  api = await startGraphql(mlflow.url);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});

type Copy = Omit<Prisma.EnvironmentCopyCreateWithoutEnvironmentInput, 'machine' | 'place'>;

async function addEnvironment(hash: string, copies: readonly Copy[] = []): Promise<void> {
  const rows = copies.map((copy, index) => ({ machine: `machine ${index}`, place: '/environments', ...copy }));
  await api.database.environment.create({ data: { hash, lock: LOCK, python: '3.12.3', copies: { create: rows } } });
}

async function addJob(environmentHash: string, modelName: string): Promise<string> {
  const { id } = await api.services.jobs.submit({ ...SUBMISSION, modelName });
  await api.database.trainingJob.update({ where: { id }, data: { environmentHash } });
  return id;
}

async function register(jobId: string, name: string, version: string): Promise<void> {
  const call = (endpoint: string, content: object) =>
    fetch(`${mlflow.url}/api/2.0/mlflow/${endpoint}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(content),
    });
  if (version === '1') await call('registered-models/create', { name });
  const { run } = (await (await call('runs/create', { experiment_id: '0' })).json()) as {
    run: { info: { run_id: string; artifact_uri: string } };
  };
  const source = { run_id: run.info.run_id, source: `${run.info.artifact_uri}/model` };
  expect((await call('model-versions/create', { name, ...source })).status).toBe(200);
  await api.database.jobModelVersion.create({ data: { name, version, jobId } });
}

const read = async (hash: string, fields: string) => {
  const { body } = await post(api.url, `query ($hash: ID!) { environment(hash: $hash) { ${fields} } }`, { hash });
  expect(body.errors).toBeUndefined();
  return body.data.environment;
};

describe('an environment', () => {
  it('tells what it consists of', async () => {
    await addEnvironment('of packages');
    expect(await read('of packages', 'hash pythonVersion lock packages { name version } createdAt')).toEqual({
      hash: 'of packages',
      pythonVersion: '3.12.3',
      lock: LOCK,
      packages: [
        { name: 'numpy', version: '2.4.0' },
        { name: 'scikit-learn', version: '1.9.0' },
        { name: 'tiny', version: 'http://there/tiny.whl' },
      ],
      createdAt: expect.stringMatching(/^\d{4}-/),
    });
  });

  it('that there is none of is null', async () => {
    expect(await read('nowhere', 'hash')).toBeNull();
    expect(await read('\0', 'hash')).toBeNull();
  });

  it('stands where the best of its copies does', async () => {
    const fields = 'status failure buildSeconds sizeBytes lastUsedAt copies { machine status failure sizeBytes }';
    await addEnvironment('resolved');
    expect(await read('resolved', fields)).toEqual({
      status: null,
      failure: null,
      buildSeconds: null,
      sizeBytes: null,
      lastUsedAt: null,
      copies: [],
    });
    const old = { status: 'READY', buildSeconds: 9, sizeBytes: 9, lastUsedAt: new Date('2026-01-01') } as const;
    await addEnvironment('on three', [
      { status: 'FAILED', failure: 'no such package' },
      old,
      { ...old, buildSeconds: 2.5, sizeBytes: 5_000_000_000, lastUsedAt: new Date('2026-01-02') },
    ]);
    expect(await read('on three', fields)).toEqual({
      status: 'READY',
      failure: null,
      buildSeconds: 2.5,
      sizeBytes: 5_000_000_000,
      lastUsedAt: '2026-01-02T00:00:00.000Z',
      copies: [
        { machine: 'machine 0', status: 'FAILED', failure: 'no such package', sizeBytes: null },
        { machine: 'machine 1', status: 'READY', failure: null, sizeBytes: 9 },
        { machine: 'machine 2', status: 'READY', failure: null, sizeBytes: 5_000_000_000 },
      ],
    });
    await addEnvironment('failed', [{ status: 'EVICTED' }, { status: 'FAILED', failure: 'no such package' }]);
    expect(await read('failed', 'status failure')).toEqual({ status: 'FAILED', failure: 'no such package' });
  });

  it('lists its jobs and their model versions by pages, the newest first', async () => {
    await addEnvironment('shared');
    await addEnvironment('other');
    const jobs = [await addJob('shared', 'one'), await addJob('shared', 'two'), await addJob('shared', 'three')];
    const other = await addJob('other', 'four');
    await register(jobs[0] ?? '', 'one', '1');
    await register(jobs[1] ?? '', 'two', '1');
    await register(jobs[1] ?? '', 'two', '2');
    await register(other, 'four', '1');
    const list = (name: string) => `environment(hash: "shared") { ${name}(ARGS) }`;
    const ids = await allPages(api.url, { field: list('jobs'), node: 'id environment { hash }' });
    expect(ids).toEqual(jobs.toReversed().map((id) => ({ id, environment: { hash: 'shared' } })));
    const versions = await allPages(api.url, { field: list('models'), node: 'name version job { id }' });
    expect(versions).toEqual([
      { name: 'two', version: '2', job: { id: jobs[1] } },
      { name: 'two', version: '1', job: { id: jobs[1] } },
      { name: 'one', version: '1', job: { id: jobs[0] } },
    ]);
    expect((await post(api.url, `{ trainingJob(id: "${other}") { environment { hash } } }`)).body.data).toEqual({
      trainingJob: { environment: { hash: 'other' } },
    });
  });

  it('is in the list of all of them, the newest first, once while others are added', async () => {
    const all = await allPages(api.url, { field: 'environments(ARGS)', node: 'hash', first: 100 });
    expect(all.length).toBeGreaterThan(5);
    const add = () => addEnvironment(uniqueName('added'));
    expect(await allPages(api.url, { field: 'environments(ARGS)', node: 'hash' }, add)).toEqual(all);
  });
});
