/* Long, since all of it shares one MLflow, which takes long to start. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Listener } from '../../src/database/listen.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import type { ModelVersion } from '../../src/mlflow/wire.ts';
import { recordCheck } from '../../src/models/servable-versions.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import { Deployer } from '../../src/worker/deployer.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { type MlflowForTests, runScript, startMlflow } from '../support/mlflow-for-tests.ts';
import { poll } from '../support/poll.ts';
import { SUBMISSION } from '../support/submission.ts';
import { uniqueName } from '../support/unique-name.ts';

let server: MlflowForTests;
let mlflow: MlflowClient;
let api: GraphqlForTests;

beforeAll(async () => {
  server = await startMlflow();
  mlflow = new MlflowClient({ baseUrl: () => server.url });
  api = await startGraphql(server.url);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

/** A model of `count` versions without files. */
async function modelOf(count: number, name = uniqueName('model'), tags: Record<string, string> = {}): Promise<string> {
  await mlflow.createRegisteredModel(name);
  for (let made = 0; made < count; made += 1)
    await mlflow.createModelVersion({ name, source: 's3://nothing/there', tags });
  return name;
}

async function rest(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const init =
    body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(`${api.url}${path}`, { method, ...init });
  return { status: answer.status, body: await answer.json() };
}

const at = (name: string, rest = '') => `/mlops/models/${encodeURIComponent(name)}${rest}`;

async function ask(query: string, variables: Record<string, unknown> = {}) {
  const { body } = await post(api.url, query, variables);
  expect(body.errors).toBeUndefined();
  return body.data;
}

const SET = `mutation ($name: String!, $alias: String!, $version: String!, $force: Boolean) {
  done: setModelAlias(name: $name, alias: $alias, version: $version, force: $force) {
    ... on MovedModelAlias { previousVersion modelVersion { version aliases } }
    ... on Error { code message }
    ... on InvalidInputError { issues { path } }
  }
}`;

describe('an alias', () => {
  test('is set, moved and deleted, under a name of odd characters, over both APIs', async () => {
    const name = await modelOf(2, `it's 50% ünï ✅ ${uniqueName('aliased')}`);
    const set = (version: string) => ask(SET, { name, alias: 'champion', version });
    expect(await set('1')).toEqual({
      done: { previousVersion: null, modelVersion: { version: '1', aliases: ['champion'] } },
    });
    const path = at(name, '/aliases/champion');
    const named = { model_name: name, alias: 'champion', version: '2' };
    expect(await rest('PUT', path, { version: 2 })).toEqual({
      status: 200,
      body: { ...named, previous_version: '1' },
    });
    expect(await rest('GET', path)).toEqual({ status: 200, body: named });
    expect((await rest('GET', at(name))).body).toMatchObject({ aliases: { champion: '2' } });
    expect(await rest('DELETE', path)).toEqual({ status: 200, body: named });
    expect((await rest('GET', at(name))).body).not.toHaveProperty('aliases');
  });

  test('that there is none of is a 404 that names the nearest, and so is a model or version', async () => {
    const name = await modelOf(1);
    await mlflow.registry.setAlias(name, 'champion', '1');
    await mlflow.registry.setAlias(name, 'größer', '1');
    const missing = { status: 404, body: { detail: expect.stringContaining('similar: champion') } };
    expect(await rest('GET', at(name, '/aliases/champoin'))).toMatchObject(missing);
    expect(await rest('DELETE', at(name, '/aliases/champoin'))).toMatchObject(missing);
    for (const odd of ['%00', 'a%2Fb', '%F0%9F%A4%96', 'x'.repeat(300)]) {
      expect((await rest('GET', at(name, `/aliases/${odd}`))).status).toBe(404);
      expect((await rest('DELETE', at(name, `/aliases/${odd}`))).status).toBe(404);
    }
    expect((await rest('DELETE', at(name, '/aliases/gr%C3%B6%C3%9Fer'))).status).toBe(200);
    expect(await rest('PUT', at(name, '/aliases/a'), { version: '7' })).toMatchObject({
      status: 404,
      body: { detail: `model ${name} has no version 7: it has 1` },
    });
    expect(await ask(SET, { name: `${name}x`, alias: 'a', version: '1' })).toMatchObject({
      done: { code: 'NOT_FOUND', message: expect.stringContaining(`similar names: ${name}`) },
    });
  });

  test('of a bad name or version is refused with the field', async () => {
    const name = await modelOf(1);
    for (const alias of ['latest', 'LATEST', 'v1', '3', 'a b', 'ä']) {
      expect(await rest('PUT', at(name, `/aliases/${encodeURIComponent(alias)}`), { version: '1' })).toMatchObject({
        status: 422,
        body: { detail: [{ loc: ['path', 'alias'] }] },
      });
      expect(await ask(SET, { name, alias, version: '1' })).toMatchObject({
        done: { code: 'INVALID_INPUT', issues: [{ path: ['alias'] }] },
      });
    }
    expect(await rest('PUT', at(name, '/aliases/a'), { version: 'new' })).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 'version'] }] },
    });
  });

  test('of twenty moves at once names the version of one of them, and every one is answered', async () => {
    const name = await modelOf(4);
    const moves = Array.from({ length: 20 }, (_, index) => ({
      name,
      alias: 'champion',
      version: String((index % 4) + 1),
    }));
    const answers = await Promise.all(moves.map((move) => ask(SET, move)));
    const seen = answers.map(({ done }) => [done.previousVersion, done.modelVersion.version]);
    // One behind the other: each found what another one had set.
    const last = (await mlflow.getModelVersionByAlias(name, 'champion')).version;
    const previous = seen.map(([before]) => before).toSorted();
    const set = [null, ...seen.map(([, version]) => version)].toSorted();
    set.splice(set.indexOf(last), 1);
    expect(previous).toEqual(set.toSorted());
  });

  test('goes to a version that the gate refused only by force', async () => {
    const name = await modelOf(1);
    const version = await mlflow.getModelVersion(name, '1');
    await recordCheck(api.database, version, null, { refusal: 'it cannot be unpickled: no module nobody' });
    const move = { name, alias: 'champion', version: '1' };
    expect(await ask(SET, move)).toEqual({
      done: { code: 'CONFLICT', message: expect.stringContaining('it cannot be unpickled: no module nobody') },
    });
    const path = at(name, '/aliases/champion');
    expect((await rest('PUT', path, { version: '1' })).status).toBe(409);
    expect((await rest('GET', path)).status).toBe(404);
    expect((await rest('PUT', path, { version: '1', force: true })).status).toBe(200);
    expect((await mlflow.getModelVersionByAlias(name, 'champion')).version).toBe('1');
  });
});

describe('a model and a version', () => {
  test('get and lose tags and descriptions', async () => {
    const name = await modelOf(1, undefined, { kept: 'yes', dropped: 'soon' });
    const change = { description: 'ünï\n"quoted"', tags: { 'team/a': "it's 5%", dropped: null, never: null } };
    expect(await rest('PATCH', at(name, '/versions/1'), change)).toMatchObject({
      status: 200,
      body: { description: change.description, tags: { kept: 'yes', 'team/a': "it's 5%" } },
    });
    const UPDATE = `mutation ($name: String!, $change: ModelChange!) { updateModel(name: $name, change: $change) {
      ... on RegisteredModel { description tags { key value } } ... on InvalidInputError { issues { path } } } }`;
    const tags = [{ key: 'a', value: '' }];
    expect(await ask(UPDATE, { name, change: { description: 'of both', tags, removeTags: ['b'] } })).toEqual({
      updateModel: { description: 'of both', tags },
    });
    expect(await ask(UPDATE, { name, change: { description: '', removeTags: ['a'] } })).toEqual({
      updateModel: { description: null, tags: [] },
    });
    expect(await ask(UPDATE, { name, change: { tags: [{ key: 'a//b', value: '' }] } })).toEqual({
      updateModel: { issues: [{ path: ['tags', 'a//b'] }] },
    });
    expect(await rest('PATCH', at(name), { tags: { '../x': '1' } })).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 'tags', '../x'] }] },
    });
    expect(await rest('PATCH', at(name, '/versions/1'), { tags: { 'asgard.servable': 'true' } })).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 'tags', 'asgard.servable'] }] },
    });
    expect((await rest('PATCH', at(name, '/versions/9'), {})).status).toBe(404);
  });

  test('are not deleted while an alias names them, and then they are', async () => {
    const name = await modelOf(2);
    await mlflow.registry.setAlias(name, 'champion', '2');
    const refused = { status: 409, body: { detail: expect.stringContaining('champion (version 2)') } };
    expect(await rest('DELETE', at(name, '/versions/2'))).toMatchObject(refused);
    expect(await rest('DELETE', at(name))).toMatchObject(refused);
    expect(await rest('DELETE', at(name, '/versions/1'))).toEqual({ status: 200, body: { name, version: '1' } });
    expect((await rest('DELETE', at(name, '/versions/1'))).status).toBe(404);
    await mlflow.registry.deleteAlias(name, 'champion');
    const job = await api.services.jobs.submit({ ...SUBMISSION, modelName: name });
    await api.database.jobModelVersion.create({ data: { name, version: '2', jobId: job.id } });
    expect(await ask(`mutation { deleteModel(name: "${name}") { ... on DeletedModel { name } } }`)).toEqual({
      deleteModel: { name },
    });
    // One that is given the name again comes out of no job.
    await modelOf(2, name);
    expect(await ask(`{ modelVersion(name: "${name}", version: "2") { job { id } } }`)).toEqual({
      modelVersion: { job: null },
    });
  });

  test('are found by part of the name, by tags and by run, page by page', async () => {
    const part = uniqueName('sought');
    const [first, second] = [await modelOf(3, `${part}-a`, { team: "it's crm" }), await modelOf(2, `${part}-b`)];
    await mlflow.registry.setModelTag(second, 'team', 'crm');
    const names = async (query: string) => (await rest('GET', `/mlops/models?${query}`)).body as { name: string }[];
    expect((await names(`search=${part.toUpperCase()}`)).map(({ name }) => name)).toEqual([first, second]);
    expect((await names(`search=${part}&tag=team%3Dcrm`)).map(({ name }) => name)).toEqual([second]);
    const pages = async (query: string) => {
      const answer = await fetch(`${api.url}/mlops/models${query}`);
      const found = (await answer.json()) as { name: string }[];
      return { names: found.map(({ name }) => name), next: answer.headers.get('link') };
    };
    const page1 = await pages(`?search=${part}&limit=1`);
    expect(page1).toEqual({ names: [first], next: expect.stringMatching(/^<\?\S+>; rel="next"$/) });
    // One that comes before it moves all by one place.
    const before = await modelOf(1, `${part}-0`);
    const next = page1.next?.slice(1, page1.next.indexOf('>')) ?? '';
    for (const query of [next, next.replace('limit=1&', 'limit=500&'), next.replace('limit=1&', '')]) {
      expect(await pages(query)).toEqual({ names: [second], next: null });
    }
    expect((await rest('GET', '/mlops/models?limit=501')).status).toBe(422);
    expect((await pages(`?search=${part}`)).names).toEqual([before, first, second]);
    expect((await rest('GET', '/mlops/models?limit=1&cursor=bm9uZQ')).status).toBe(422);
    await mlflow.registry.deleteModel(before);
    const LIST = `query ($search: String!, $after: String, $tags: [TagInput!]) {
      modelVersions(search: $search, first: 2, after: $after, filter: { tags: $tags }) {
        edges { node { name version } } pageInfo { hasNextPage endCursor } } }`;
    const tags = [{ key: 'team', value: "it's crm" }];
    const page = (await ask(LIST, { search: part, tags })).modelVersions;
    expect(page.edges.map(({ node }: { node: { version: string } }) => node.version)).toEqual(['3', '2']);
    const after = page.pageInfo.endCursor;
    expect((await ask(LIST, { search: part, tags, after })).modelVersions).toMatchObject({
      edges: [{ node: { name: first, version: '1' } }],
      pageInfo: { hasNextPage: false },
    });
    const versions = await rest('GET', at(first, '/versions?limit=2'));
    expect(versions.body).toMatchObject({ versions: [{ version: '3' }, { version: '2' }], next_cursor: '2' });
    await mlflow.registry.setVersionTag(first, '2', 'asgard.servable', 'true');
    expect((await rest('GET', at(first, '/versions?servable=true'))).body).toMatchObject({
      versions: [{ version: '2' }],
    });
    expect(
      await ask(`{ model(name: "${first}") { versions(filter: { isServable: false }) { edges { cursor } } } }`),
    ).toEqual({ model: { versions: { edges: [] } } });
    expect((await rest('GET', at(first, '/versions?limit=2&cursor=2'))).body).toMatchObject({
      versions: [{ version: '1' }],
      next_cursor: null,
    });
    expect(
      await ask(`{ model(name: "${second}") { versions(filter: { runId: "nobody" }) { edges { cursor } } } }`),
    ).toEqual({ model: { versions: { edges: [] } } });
  });
});

describe('deployments whose jobs have ended while no platform looked', () => {
  let ended = 0;

  /** A job that has registered a version, or ended badly, and is to be deployed as `champion`. */
  async function endedJob(modelName: string, modelVersion: string | null, status: 'COMPLETED' | 'LOST' = 'COMPLETED') {
    const job = await api.services.jobs.submit({ ...SUBMISSION, modelName }, { alias: 'champion' });
    ended += 1;
    const completedAt = new Date(Date.now() + ended);
    await api.database.trainingJob.update({ where: { id: job.id }, data: { status, modelVersion, completedAt } });
    return job.id;
  }

  const rowOf = (jobId: string) => api.database.deployment.findUniqueOrThrow({ where: { jobId } });
  const log: string[] = [];

  async function deployer(mustServe: (version: ModelVersion) => Promise<void> = async () => {}) {
    const stack = new AsyncDisposableStack();
    const listener = stack.use(await Listener.start({ url: api.databaseUrl }));
    const { models, registry } = api.services;
    const logger = pino({ base: null }, { write: (line) => void log.push(line) });
    stack.use(await Deployer.start({ database: api.database, listener, models, registry, mustServe, logger }));
    return stack;
  }

  test('are done in the order of those ends, whichever platforms do them', async () => {
    const name = await modelOf(3);
    const [first, second, third] = [await endedJob(name, '1'), await endedJob(name, '2'), await endedJob(name, '3')];
    const [bad, empty] = [await endedJob(name, null, 'LOST'), await endedJob(name, null)];
    // One was killed after it had set the alias, and before it could note that.
    await mlflow.registry.setAlias(name, 'champion', '1');
    await using _one = await deployer();
    await using _two = await deployer();
    await poll(
      () => Promise.all([first, second, third, bad, empty].map(rowOf)),
      (rows) => rows.every(({ status }) => status !== 'PENDING'),
    );
    expect(await rowOf(first)).toMatchObject({ status: 'DEPLOYED', previousVersion: null });
    expect(await rowOf(second)).toMatchObject({ status: 'DEPLOYED', previousVersion: '1' });
    expect(await rowOf(third)).toMatchObject({ status: 'DEPLOYED', previousVersion: '2' });
    expect(await rowOf(bad)).toMatchObject({ status: 'FAILED', error: 'its job is LOST' });
    expect(await rowOf(empty)).toMatchObject({ status: 'FAILED', error: 'its job has registered no model' });
    expect((await mlflow.getModelVersionByAlias(name, 'champion')).version).toBe('3');
  });

  test('wait for what is away, and later ones of the alias with them; what does not work is not deployed', async () => {
    const name = await modelOf(2);
    const [waiting, later] = [await endedJob(name, '1'), await endedJob(name, '2')];
    const refused = await modelOf(1);
    const version = await mlflow.getModelVersion(refused, '1');
    await recordCheck(api.database, version, null, { refusal: 'no module nobody' });
    const failing = await endedJob(refused, '1');
    {
      await using _away = await deployer(async (each) => {
        if (each.name === name && each.version === '1') throw new AsgardError('UNAVAILABLE', 'MLflow is away');
      });
      await poll(
        () => rowOf(failing),
        ({ status }) => status !== 'PENDING',
      );
      expect(await rowOf(failing)).toMatchObject({
        status: 'FAILED',
        error: expect.stringContaining('no module nobody'),
      });
      expect(log.some((line) => line.includes('deployment.waits'))).toBe(true);
    }
    expect(await rowOf(later)).toMatchObject({ status: 'PENDING' });
    await using _back = await deployer();
    await poll(
      () => rowOf(later),
      ({ status }) => status === 'DEPLOYED',
    );
    expect(await rowOf(waiting)).toMatchObject({ status: 'DEPLOYED' });
    expect((await mlflow.getModelVersionByAlias(name, 'champion')).version).toBe('2');
  });
});

test('MLflow’s own client sees the aliases, and the stages that it sets show the newest version of each', async () => {
  const name = await modelOf(3);
  await rest('PUT', at(name, '/aliases/champion'), { version: '2' });
  const [line] = await runScript(
    `
import mlflow, warnings
warnings.simplefilter("ignore")
client = mlflow.MlflowClient()
client.transition_model_version_stage(${JSON.stringify(name)}, "1", "Production")
client.transition_model_version_stage(${JSON.stringify(name)}, "2", "Staging")
print(client.get_model_version_by_alias(${JSON.stringify(name)}, "champion").version)`,
    { trackingUri: server.url },
  );
  expect(line).toBe('2');
  const { body } = await rest('GET', at(name));
  const { latest_versions } = body as { latest_versions: { version: string; stage: string }[] };
  expect(latest_versions.map(({ version, stage }) => [version, stage])).toEqual([
    ['3', 'None'],
    ['2', 'Staging'],
    ['1', 'Production'],
  ]);
});
