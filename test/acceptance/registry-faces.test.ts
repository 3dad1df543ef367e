import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { askGraphql } from '../support/ask-graphql.ts';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');
const jobs = new JobsForTests();
const { registry } = jobs.client;
afterAll(() => jobs[Symbol.asyncDispose]());

const name = uniqueName('both faces');
const path = `/mlops/models/${encodeURIComponent(name)}`;
const table = 'iceberg.gold.customers';

/** A linear model as the guide saves one, with what it read of the feature store told as the offline store tells it. */
const script = (factor: number, snapshotId: string) => `
import json, os, pickle, urllib.request, mlflow, pandas
from sklearn.linear_model import LinearRegression
frame = pandas.DataFrame({"a": [0.0, 1.0, 0.0, 2.0], "b": [0.0, 0.0, 1.0, 3.0]})
model = LinearRegression().fit(frame, ${factor} * (frame["a"] + frame["b"]))
read = {"feature_view": "customer_features", "features": ["a", "b"], "table": "${table}",
        "snapshot_id": "${snapshotId}", "entity_rows": 4}
urllib.request.urlopen(urllib.request.Request(
    os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/asgard/feature-reads", json.dumps({"reads": [read]}).encode(),
    {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"}))
with mlflow.start_run():
    mlflow.log_param("factor", ${factor})
    mlflow.log_metric("score", ${factor} / 2)
    with open("model.pkl", "wb") as file:
        pickle.dump(model, file)
    mlflow.log_artifact("model.pkl", artifact_path="model")
`;

/** Of both versions, the first first. */
let made: { readonly jobId: string; readonly runId: string | null; readonly script: string }[];

beforeAll(async () => {
  made = [];
  for (const [factor, snapshotId, requirements] of [
    [2, '11', []],
    [5, '12', ['text-unidecode']],
  ] as const) {
    const text = script(factor, snapshotId);
    const { job } = await jobs.run(text, { modelName: name, experimentName: name, requirements });
    expect(job).toMatchObject({ status: 'COMPLETED', modelVersion: { version: String(made.length + 1) } });
    made.push({ jobId: job.id, runId: job.runId, script: text });
  }
}, 2 * JOB_LIMIT_MS);

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function rest(method: string, at: string, body?: object): Promise<any> {
  const init = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(`${url}${at}`, { method, ...init });
  return { status: answer.status, body: await answer.json() };
}

const LINEAGE = `query ($name: String!) { modelVersion(name: $name, version: "2") {
  stage run { id params { key value } metrics { key value } }
  job { id script environment { hash packages { name version } } }
  featureReads { featureViewName features table snapshotId } check { status exampleSource } } }`;

describe('a model that two jobs trained is the same in GraphQL and in REST:', { timeout: JOB_LIMIT_MS }, () => {
  test('its versions, the newest first, page by page', async () => {
    const first = await jobs.client.modelVersions(name, { first: 1 });
    expect(first.items.map(({ version }) => version)).toEqual(['2']);
    const rest1 = await rest('GET', `${path}/versions?limit=1`);
    expect(rest1.body.versions).toMatchObject([{ name, version: '2', stage: 'None', run_id: made[1]?.runId }]);
    const second = await jobs.client.modelVersions(name, { first: 1, after: first.endCursor ?? '' });
    expect(second.items).toMatchObject([{ version: '1', stage: 'None', runId: made[0]?.runId }]);
    const rest2 = await rest('GET', `${path}/versions?limit=1&cursor=${rest1.body.next_cursor}`);
    expect(rest2.body).toMatchObject({ versions: [{ version: '1' }], next_cursor: null });
    const found = await jobs.client.models({ search: name.slice(5).toUpperCase() });
    expect(found.items.map((model) => model.name)).toContain(name);
    const searched = await rest('GET', `/mlops/models?search=${encodeURIComponent(name.slice(5))}`);
    expect(searched.body).toContainEqual(expect.objectContaining({ name }));
  });

  test('aliases, which one face sets, the other moves and the first deletes', async () => {
    const alias = `${path}/aliases/champion`;
    expect((await registry.setAlias(name, 'champion', '1')).previousVersion).toBeNull();
    expect(await rest('GET', alias)).toMatchObject({ status: 200, body: { version: '1' } });
    expect(await rest('PUT', alias, { version: '2' })).toMatchObject({ status: 200, body: { previous_version: '1' } });
    expect((await jobs.client.model(name)).aliases).toEqual([{ alias: 'champion', version: '2' }]);
    expect((await rest('GET', path)).body.aliases).toEqual({ champion: '2' });
    expect((await jobs.client.modelVersion(name, '2')).aliases).toEqual(['champion']);
    await registry.deleteAlias(name, 'champion');
    expect((await rest('GET', alias)).status).toBe(404);
    expect((await rest('PUT', alias, { version: '1' })).status).toBe(200);
    expect(await rest('DELETE', alias)).toMatchObject({ status: 200, body: { version: '1' } });
    expect((await jobs.client.model(name)).aliases).toEqual([]);
  });

  test('tags and descriptions of the model and of a version', async () => {
    await registry.updateModel(name, { description: 'by GraphQL', tags: [{ key: 'team', value: 'crm' }] });
    expect((await rest('GET', path)).body).toMatchObject({ description: 'by GraphQL', tags: { team: 'crm' } });
    const change = { description: 'by REST', tags: { level: 'gold' } };
    expect((await rest('PATCH', `${path}/versions/1`, change)).body).toMatchObject(change);
    const version = await jobs.client.modelVersion(name, '1');
    expect(version).toMatchObject({
      description: 'by REST',
      tags: expect.arrayContaining([{ key: 'level', value: 'gold' }]),
    });
    const { items } = await registry.versions({ filter: { tags: [{ key: 'level', value: 'gold' }] }, search: name });
    expect(items.map((each) => [each.name, each.version])).toEqual([[name, '1']]);
    const tagged = await rest('GET', `${path}/versions?tag=${encodeURIComponent('level=gold')}`);
    expect(tagged.body.versions.map((each: { version: string }) => each.version)).toEqual(['1']);
  });

  test('where a version comes from: run, job, script, environment, feature views and snapshots', async () => {
    const [, second] = made;
    const { modelVersion: told } = await askGraphql(LINEAGE, { name });
    expect(told).toMatchObject({
      stage: 'None',
      run: { id: second?.runId, params: [{ key: 'factor', value: '5' }], metrics: [{ key: 'score', value: 2.5 }] },
      job: { id: second?.jobId, script: second?.script },
      featureReads: [{ featureViewName: 'customer_features', features: ['a', 'b'], table, snapshotId: '12' }],
      check: { status: 'SERVABLE', exampleSource: 'FEATURE_NAMES' },
    });
    const { hash, packages } = told.job.environment;
    const { body } = await rest('GET', `${path}/versions/2`);
    expect(body).toMatchObject({
      stage: 'None',
      servable: true,
      tried_with: 'feature_names',
      run: { run_id: second?.runId, params: { factor: '5' }, metrics: { score: 2.5 } },
      job: { job_id: second?.jobId, script: second?.script },
      environment: { hash },
      feature_reads: [{ feature_view: 'customer_features', features: ['a', 'b'], table, snapshot_id: '12' }],
    });
    expect(Object.entries(body.environment.packages)).toEqual(
      packages.map((each: { name: string; version: string }) => [each.name, each.version]),
    );
    expect(body.environment.packages).toHaveProperty('text-unidecode');
  });

  test('a run’s model becomes a version, which either face makes and both find again', async () => {
    const other = uniqueName('registered');
    const runId = made[0]?.runId ?? '';
    const input = { modelName: other, runId, description: 'by hand', tags: [{ key: 'team', value: 'crm' }] };
    const version = await registry.register(input);
    expect(version).toMatchObject({ name: other, version: '1', runId, description: 'by hand', status: 'READY' });
    const body = { model_name: other, run_id: runId, description: 'by hand', tags: { team: 'crm' } };
    expect(await rest('POST', '/mlops/registry', body)).toMatchObject({ status: 201, body: { version: '1' } });
    const next = await rest('POST', '/mlops/registry', { ...body, description: 'another' });
    expect(next.body).toMatchObject({ version: '2', run_id: runId });
    expect(await registry.register({ ...input, description: 'another' })).toMatchObject({ version: '2' });
    await expect(registry.register({ modelName: 'a/b', runId: 'no id!' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      issues: [{ path: ['modelName'] }, { path: ['runId'] }],
    });
    const noRun = { modelName: other, runId: '0'.repeat(32) };
    await expect(registry.register(noRun)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('how the two versions differ, and their jobs alike', async () => {
    const pairs = ['1', '2'].map((version) => ({ name, version }));
    // Others may have got newer versions: the two environments are resolved at different times.
    const added = <Package extends { before: unknown }>(packages: readonly Package[] | null | undefined) =>
      packages?.filter(({ before }) => before === null);
    const versions = await registry.compareVersions(pairs);
    const ofJobs = await registry.compareJobs(made.map(({ jobId }) => jobId));
    expect(ofJobs.differences).toEqual(versions.differences);
    expect(versions).toMatchObject({
      params: [{ key: 'factor', isSame: false, values: ['2', '5'] }],
      metrics: [{ key: 'score', isSame: false, values: [1, 2.5] }],
      differences: [
        {
          features: [
            { featureViewName: 'customer_features', before: { snapshotIds: ['11'] }, after: { snapshotIds: ['12'] } },
          ],
        },
      ],
    });
    expect(added(versions.differences[0]?.packages)).toMatchObject([
      { name: 'text-unidecode', after: expect.any(String) },
    ]);
    const unified = versions.differences[0]?.script?.unified ?? '';
    expect(unified).toContain('-    mlflow.log_param("factor", 2)\n');
    expect(unified).toContain('+    mlflow.log_param("factor", 5)\n');
    const named = pairs.map(({ version }) => `version=${encodeURIComponent(`${name}/${version}`)}`).join('&');
    const { body } = await rest('GET', `/mlops/compare?${named}`);
    expect(body).toMatchObject({
      params: [{ key: 'factor', is_same: false, values: ['2', '5'] }],
      metrics: [{ key: 'score', is_same: false, values: [1, 2.5] }],
      differences: [
        {
          script: { unified },
          features: [{ before: { snapshot_ids: ['11'] }, after: { snapshot_ids: ['12'] } }],
        },
      ],
    });
    expect(added(body.differences[0].packages)).toMatchObject([{ name: 'text-unidecode', after: expect.any(String) }]);
    const ids = made.map(({ jobId }) => `job=${jobId}`).join('&');
    expect((await rest('GET', `/mlops/compare?${ids}`)).body.params).toEqual(body.params);
  });

  test('a version is deleted by one face and gone from the other; so is the model', async () => {
    const { body } = await rest('DELETE', `${path}/versions/1`);
    expect(body).toEqual({ name, version: '1' });
    await expect(jobs.client.modelVersion(name, '1')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await registry.deleteModel(name);
    expect((await rest('GET', path)).status).toBe(404);
  });
});
