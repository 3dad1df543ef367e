import { afterAll, describe, expect, inject, test } from 'vitest';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { constantModel, modelPickle } from '../support/model-pickle.ts';
import { poll } from '../support/poll.ts';
import { MLFLOW_REST } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url, mlflowUrl } = inject('platform');
const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

/** Saves a model as the guide does. */
const saving = (pickle: string) => `${MLFLOW_REST}
run = mlflow_call("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
path = "/api/2.0/mlflow-artifacts/artifacts/0/" + run + "/artifacts/model/model.pkl"
mlflow_call(path, ${JSON.stringify(pickle)}.encode(), "PUT")
`;

const SAVES = saving(constantModel(7));

async function call(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const init = body && { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
  const answer = await fetch(`${url}${path}`, { method, ...init });
  return { status: answer.status, body: await answer.json() };
}

const upload = (name: string, script: string) => ({
  script_name: 'train.py',
  script_content: script,
  experiment_name: name,
  model_name: name,
});

/** Resolves with the deployment once it has ended. */
async function ended(id: string) {
  const look = async () => (await call('GET', `/mlops/deployments/${id}`)).body;
  return poll(look, ({ status }) => status === 'completed' || status === 'failed', JOB_LIMIT_MS);
}

async function deploy(body: object) {
  const answer = await call('POST', '/mlops/deploy', body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
  return answer.body.deployment_id as string;
}

describe('a deployment', { timeout: JOB_LIMIT_MS }, () => {
  test('trains a model, and has the serving alias name it; one that fails leaves the alias where it was', async () => {
    const name = uniqueName('deployed');
    const key = uniqueName('key');
    const taken = await call('POST', '/mlops/deploy', upload(name, SAVES), { 'idempotency-key': key });
    const id = taken.body.deployment_id;
    expect(taken).toMatchObject({
      status: 202,
      body: { status: expect.stringMatching(/^(queued|running)$/), job_id: id, model_name: name, alias: 'champion' },
    });
    expect(await ended(id)).toEqual({
      deployment_id: id,
      status: 'completed',
      job_id: id,
      model_name: name,
      model_version: '1',
      alias: 'champion',
      previous_version: null,
      error: null,
      created_at: expect.any(String),
      completed_at: expect.any(String),
    });
    expect((await jobs.end(id)).said.at(-1)).toBe(
      `→ Version 1 of ${name} is deployed as champion next: see GET /mlops/deployments/${id}`,
    );
    const named = () => call('GET', `/mlops/models/${name}/aliases/champion`);
    expect((await named()).body).toEqual({ model_name: name, alias: 'champion', version: '1' });
    expect((await call('GET', `/mlops/models/${name}/versions/1`)).body).toMatchObject({
      aliases: ['champion'],
      servable: true,
      refusal: null,
      job: { job_id: id },
    });
    // The same key is the same deployment, whatever else is asked for.
    const again = await call('POST', '/mlops/deploy', {
      ...upload(name, 'pass'),
      alias: 'other',
      idempotency_key: key,
    });
    expect(again).toMatchObject({ status: 202, body: { deployment_id: id, status: 'completed', alias: 'champion' } });

    const [failing, modelless, broken] = await Promise.all([
      deploy(upload(name, `${SAVES}raise SystemExit(3)`)),
      deploy(upload(name, 'print("no model")')),
      deploy(upload(name, saving(modelPickle('model = no_such_name')))),
    ]);
    expect(await ended(failing)).toMatchObject({
      status: 'failed',
      model_version: null,
      error: expect.stringMatching(/^its job is FAILED: .*exit code 3/),
    });
    expect(await ended(modelless)).toMatchObject({ status: 'failed', error: 'its job has registered no model' });
    // It was registered, and could not be loaded.
    const refused = await ended(broken);
    expect(refused).toMatchObject({
      status: 'failed',
      model_version: '2',
      error: expect.stringContaining('no_such_name'),
    });
    expect((await jobs.end(broken)).said.at(-1)).toBe(
      `✗ Version 2 of ${name} is not deployed as champion, as it cannot be served`,
    );
    const alias = `/mlops/models/${name}/aliases/champion`;
    expect(await call('PUT', alias, { version: '2' })).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('no_such_name') },
    });
    expect((await named()).body).toMatchObject({ version: '1' });
  });

  test('by the client shows its version, and what its alias named before; its model leads back to the script', async () => {
    const { registry } = jobs.client;
    const name = uniqueName('deployed');
    const input = { scriptName: 'train.py', script: SAVES, experimentName: name, modelName: name };
    const first = await registry.deploy(input, 'blue');
    expect(first).toMatchObject({ alias: 'blue', error: null, completedAt: null });
    const followed = await Array.fromAsync(registry.deploymentEvents(first.id));
    expect(followed.at(-1)).toMatchObject({ status: 'DEPLOYED', previousVersion: null });
    const order = ['QUEUED', 'TRAINING', 'DEPLOYING', 'DEPLOYED'] as const;
    // What an event shows is of the moment when it is sent: a state may come twice.
    const seen = [...new Set(followed.map(({ status }) => status))];
    expect(seen).toEqual(order.filter((status) => seen.includes(status)));
    const second = await registry.deploy({ ...input, script: `${SAVES}print("more")\n` }, 'blue');
    expect((await Array.fromAsync(registry.deploymentEvents(second.id))).at(-1)).toMatchObject({
      status: 'DEPLOYED',
      error: null,
      previousVersion: '1',
      modelVersion: { version: '2', aliases: ['blue'] },
    });
    expect(await registry.lineage(name, '2')).toMatchObject({
      job: {
        id: second.id,
        script: expect.stringContaining('print("more")'),
        environment: { packages: expect.any(Array) },
      },
    });
    // So does a version that somebody made of its run later, by MLflow's own API.
    const later = uniqueName('later');
    const { run } = await registry.lineage(name, '2');
    for (const [path, body] of [
      ['registered-models/create', { name: later }],
      ['model-versions/create', { name: later, run_id: run?.id, source: `runs:/${run?.id}/model` }],
    ] as const) {
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      expect((await fetch(`${mlflowUrl}/api/2.0/mlflow/${path}`, init)).status).toBe(200);
    }
    expect(await registry.lineage(later, '1')).toMatchObject({ job: { id: second.id } });
    await registry.deleteModel(later);
    const versions = ['1', '2'].map((version) => ({ name, version }));
    const comparison = await registry.compareVersions(versions);
    expect(comparison.differences[0]).toMatchObject({ script: { addedLines: 1, removedLines: 0 }, packages: [] });
    expect(await registry.compareJobs([first.id, second.id])).toMatchObject({ differences: comparison.differences });
    await registry.updateVersion(name, '1', { tags: [{ key: 'kind', value: name }] });
    const filter = { tags: [{ key: 'kind', value: name }] };
    expect(await Array.fromAsync(registry.allVersions({ filter }))).toMatchObject([{ name, version: '1' }]);
    await registry.updateModel(name, { tags: [{ key: 'kind', value: name }] });
    expect((await jobs.client.models({ tags: filter.tags })).items).toMatchObject([{ name }]);
    expect(await registry.setAlias(name, 'blue', '1')).toMatchObject({ previousVersion: '2' });
    await registry.deleteVersion(name, '2');
    await expect(registry.deleteModel(name)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await registry.deleteAlias(name, 'blue')).toMatchObject({ version: '1' });
    await registry.deleteModel(name);
    await expect(registry.lineage(name, '1')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    // A bad alias, and a key of a job that deploys nothing.
    await expect(registry.deploy(input, 'v2')).rejects.toMatchObject({ issues: [{ path: ['alias'] }] });
    const idempotencyKey = uniqueName('key');
    const id = await jobs.submit('pass', { idempotencyKey });
    await expect(registry.deploy({ ...input, idempotencyKey })).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(registry.deployment(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test('what cannot be deployed is refused with the field, and another id is a 404', async () => {
  const { status, body } = await call('POST', '/mlops/deploy', { ...upload('m', 'pass'), alias: 'latest', timeout: 1 });
  expect(status).toBe(422);
  expect(body.detail.map(({ loc }: { loc: string[] }) => loc.join('/')).toSorted()).toEqual([
    'body/alias',
    'body/timeout',
  ]);
  for (const id of ['0'.repeat(16), 'x', '%00']) {
    expect((await call('GET', `/mlops/deployments/${id}`)).status).toBe(404);
  }
});
