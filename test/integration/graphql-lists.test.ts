import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AsgardClient } from '../../src/client/client.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { allPages, page } from '../support/pages.ts';

let mlflow: MlflowForTests;
let api: GraphqlForTests;
let added = 0;

beforeAll(async () => {
  mlflow = await startMlflow();
  api = await startGraphql(mlflow.url);
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});

// biome-ignore lint/suspicious/noExplicitAny: each endpoint of MLflow answers in its own shape
async function call(endpoint: string, content: object, method = 'POST'): Promise<any> {
  const response = await fetch(`${mlflow.url}/api/2.0/mlflow/${endpoint}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(content),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${endpoint} answered ${response.status}: ${answer}`);
  return JSON.parse(answer);
}

async function addExperiment(name: string): Promise<string> {
  return (await call('experiments/create', { name })).experiment_id;
}

async function addRun(experimentId: string, name: string, startTime: number, metrics: object = {}): Promise<string> {
  const { run } = await call('runs/create', { experiment_id: experimentId, run_name: name, start_time: startTime });
  const logged = Object.entries(metrics).map(([key, value]) => ({ key, value, timestamp: 1, step: 0 }));
  if (logged.length > 0) await call('runs/log-batch', { run_id: run.info.run_id, metrics: logged });
  return run.info.run_id;
}

const namesOf = (nodes: { name: string }[]) => nodes.map(({ name }) => name);
const next = () => {
  added += 1;
  return String(added).padStart(3, '0');
};

describe('MLflow', () => {
  it('tells the place of a page by an offset, as the text that is made here for one', async () => {
    for (const name of ['token a', 'token b']) await addExperiment(name);
    const { next_page_token } = await call('experiments/search', { max_results: 2 });
    expect(next_page_token).toBe(Buffer.from('{"offset": 2}').toString('base64'));
  });
});

describe('experiments', () => {
  const list = { field: 'experiments(ARGS)', node: 'name' };

  it('are each seen once while others are added, in every order', async () => {
    for (const name of ['e m', 'e p', 'e k', 'e r', 'e n']) await addExperiment(name);
    const wanted = async (orderBy: string, before: () => string) => {
      const args = `, search: "e ", orderBy: ${orderBy}`;
      const all = namesOf(await allPages(api.url, { ...list, args, first: 100 }));
      // Added where the list begins, so that all that follows moves; none of them may show, nor hide another one.
      expect(namesOf(await allPages(api.url, { ...list, args }, () => addExperiment(before())))).toEqual(all);
      return all;
    };
    expect(await wanted('{}', () => `e newer ${next()}`)).toEqual(['e n', 'e r', 'e k', 'e p', 'e m']);
    const ascending = await wanted('{ field: NAME, direction: ASC }', () => `e a ${next()}`);
    expect(ascending).toEqual(ascending.toSorted());
    const descending = await wanted('{ field: NAME, direction: DESC }', () => `e z ${next()}`);
    expect(descending).toEqual(descending.toSorted().toReversed());
  });

  it('go on behind one that was deleted, and behind its deleted neighbours', async () => {
    const ids = new Map<string, string>();
    for (const name of ['del 1', 'del 2', 'del 3', 'del 4', 'del 5', 'del 6', 'del 7'])
      ids.set(name, await addExperiment(name));
    for (const [orderBy, order] of [
      ['{ direction: DESC }', ['del 7', 'del 6', 'del 5', 'del 4', 'del 3', 'del 2', 'del 1']],
      ['{ field: NAME, direction: ASC }', ['del 1', 'del 2', 'del 3', 'del 4', 'del 5', 'del 6', 'del 7']],
    ] as const) {
      const args = `search: "del ", orderBy: ${orderBy}`;
      const first = await page<{ name: string }>(api.url, list.field, 'name', `first: 3, ${args}`);
      expect(first.edges.map(({ node }) => node.name)).toEqual(order.slice(0, 3));
      for (const gone of [order.slice(2, 3), order.slice(0, 3)]) {
        for (const name of gone) await call('experiments/delete', { experiment_id: ids.get(name) });
        const after = first.pageInfo.endCursor;
        const rest = await page<{ name: string }>(api.url, list.field, 'name', `first: 3, ${args}`, after);
        expect(rest.edges.map(({ node }) => node.name)).toEqual(order.slice(3, 6));
        // Nothing is left of what preceded them, once all three are gone.
        expect(rest.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: gone.length === 1 });
        for (const name of gone) await call('experiments/restore', { experiment_id: ids.get(name) });
      }
    }
  });
});

describe('runs', () => {
  const START = 1_700_000_000_000;

  it('are each seen once while others are added, in every order, also many of one moment', async () => {
    const id = await addExperiment('runs');
    for (let index = 0; index < 9; index += 1) {
      // Seven of one moment: more than a page and what is read beyond it.
      await addRun(id, `r${index}`, START + Math.min(index, 2), {
        'val loss/a-b.c:d_e': index === 4 ? 'NaN' : index % 3,
      });
    }
    const metric = 'metric: "val loss/a-b.c:d_e"';
    for (const orderBy of [
      '{}',
      '{ direction: ASC }',
      '{ field: ENDED_AT }',
      `{ ${metric}, direction: DESC }`,
      `{ ${metric}, direction: ASC }`,
    ]) {
      const list = { field: `experiment(id: "${id}") { runs(ARGS) }`, node: 'name', args: `, orderBy: ${orderBy}` };
      const all = namesOf(await allPages(api.url, { ...list, first: 100 }));
      const isAscending = orderBy.includes('ASC');
      const add = () =>
        addRun(id, `new ${next()}`, isAscending ? START - added : START + 1000 + added, {
          'val loss/a-b.c:d_e': isAscending ? -added : 1000 + added,
        });
      expect(namesOf(await allPages(api.url, list, add))).toEqual(all);
    }
  });

  it('are ordered by a metric, those without it last, and chosen by status and part of the name', async () => {
    const id = await addExperiment('measured');
    for (const [name, f1] of Object.entries({ low: 0.1, high: 0.9, none: undefined, middle: 0.5 })) {
      await addRun(id, `it's "${name}" 100%`, START, f1 === undefined ? {} : { f1 });
    }
    const runs = async (args: string) => {
      const field = `experiment(id: "${id}") { runs(ARGS) }`;
      return namesOf(await allPages(api.url, { field, node: 'name', args })).map((name) => name.split('"')[1]);
    };
    expect(await runs(', orderBy: { metric: "f1" }')).toEqual(['high', 'middle', 'low', 'none']);
    expect(await runs(', orderBy: { metric: "f1", direction: ASC }')).toEqual(['low', 'middle', 'high', 'none']);
    expect(await runs(`, filter: { name: "S \\"HIGH\\" 100%" }`)).toEqual(['high']);
    expect(await runs(', filter: { statuses: [FINISHED, FAILED] }')).toEqual([]);
    expect((await runs(', filter: { statuses: [FAILED, RUNNING] }')).length).toBe(4);
    expect(await runs(', filter: { statuses: [] }')).toEqual([]);
  });

  it.each([
    ['orderBy: { metric: "a`; --" }', ['orderBy', 'by', 'metric']],
    ['orderBy: { metric: "a", field: ENDED_AT }', ['orderBy']],
    [`filter: { name: "${'x'.repeat(251)}" }`, ['filter', 'name']],
    ['filter: { name: "\\u0000" }', ['filter', 'name']],
  ])('refuse %.40s', async (args, path) => {
    const { body } = await post(api.url, `{ experiment(name: "runs") { runs(${args}) { edges { cursor } } } }`);
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path }] } }]);
  });

  it('refuse a cursor of another experiment, order or filter', async () => {
    const cursorOf = async (name: string, args: string) =>
      (await page(api.url, `experiment(name: "${name}") { runs(ARGS) }`, 'id', `first: 1 ${args}`)).pageInfo.endCursor;
    const query = 'query ($after: String) { experiment(name: "runs") { runs(after: $after) { edges { cursor } } } }';
    for (const after of [
      await cursorOf('measured', ''),
      await cursorOf('runs', ', orderBy: { direction: ASC }'),
      await cursorOf('runs', ', filter: { name: "r" }'),
    ]) {
      const { body } = await post(api.url, query, { after });
      expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['after'] }] } }]);
    }
  });
});

describe('models', () => {
  const list = { field: 'models(ARGS)', node: 'name' };
  let source: { run_id: string; source: string };
  const addVersion = (name: string) => call('model-versions/create', { name, ...source });

  beforeAll(async () => {
    const { run } = await call('runs/create', { experiment_id: '0' });
    source = { run_id: run.info.run_id, source: `${run.info.artifact_uri}/model` };
  });

  it('are each seen once while others are added, in every order', async () => {
    for (const name of ['m d', 'm b', 'm e', 'm c', 'm f']) await call('registered-models/create', { name });
    for (const orderBy of ['{}', '{ direction: DESC }', '{ field: UPDATED_AT, direction: DESC }']) {
      const args = `, search: "M ", orderBy: ${orderBy}`;
      const all = namesOf(await allPages(api.url, { ...list, args, first: 100 }));
      const name = () => (orderBy === '{}' ? `m a${next()}` : `m z${next()}`);
      const add = () => call('registered-models/create', { name: name() });
      expect(namesOf(await allPages(api.url, { ...list, args }, add))).toEqual(all);
    }
  });

  it('by change go on from one that has changed since as if it had not', async () => {
    const names = ['u1', 'u2', 'u3', 'u4', 'u5'];
    for (const name of names) await call('registered-models/create', { name });
    const args = 'search: "u", orderBy: { field: UPDATED_AT, direction: DESC }';
    const first = await page<{ name: string }>(api.url, list.field, 'name', `first: 2, ${args}`);
    await addVersion('u4');
    const after = first.pageInfo.endCursor;
    const rest = await page<{ name: string }>(api.url, list.field, 'name', `first: 9, ${args}`, after);
    expect(rest.edges.map(({ node }) => node.name)).toEqual(['u3', 'u2', 'u1']);
  });

  it('give their versions once each while others are added, and go on behind one that was deleted', async () => {
    const name = 'versioned';
    await call('registered-models/create', { name });
    for (let count = 0; count < 5; count += 1) await addVersion(name);
    const versions = { field: `model(name: "${name}") { versions(ARGS) }`, node: 'version' };
    const seen = await allPages<{ version: string }>(api.url, versions, () => addVersion(name));
    expect(seen.map(({ version }) => version)).toEqual(['5', '4', '3', '2', '1']);
    const first = await page<{ version: string }>(api.url, versions.field, 'version', 'first: 2');
    expect(first.edges.map(({ node }) => node.version)).toEqual(['7', '6']);
    await call('model-versions/delete', { name, version: '6' }, 'DELETE');
    const after = first.pageInfo.endCursor;
    const rest = await page<{ version: string }>(api.url, versions.field, 'version', 'first: 2', after);
    expect(rest.edges.map(({ node }) => node.version)).toEqual(['5', '4']);
  });

  it.each(['models', 'experiments'])('and experiments (%s) refuse a search that is too long', async (field) => {
    const { body } = await post(api.url, `query ($search: String) { ${field}(search: $search) { edges { cursor } } }`, {
      search: 'x'.repeat(251),
    });
    expect(body.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['search'] }] } }]);
  });
});

describe('the client', () => {
  it('looks up and iterates what MLflow has, over all pages', async () => {
    await using client = new AsgardClient({ url: api.url });
    const experimentId = await addExperiment('of the client');
    for (let index = 0; index < 5; index += 1) await addRun(experimentId, `run ${index}`, 1_700_000_000_000 + index);
    const { run } = await call('runs/create', { experiment_id: experimentId, run_name: 'registered' });
    await call('registered-models/create', { name: 'client model' });
    const version = { run_id: run.info.run_id, source: `${run.info.artifact_uri}/model` };
    for (let count = 0; count < 3; count += 1)
      await call('model-versions/create', { name: 'client model', ...version });

    const orderBy = { field: 'STARTED_AT', direction: 'ASC' } as const;
    const runs = await Array.fromAsync(client.allRuns(experimentId, { first: 2, orderBy, filter: { name: 'run' } }));
    expect(namesOf(runs)).toEqual([0, 1, 2, 3, 4].map((index) => `run ${index}`));
    await expect(client.run(runs[3]?.id ?? '')).resolves.toMatchObject({ name: 'run 3', experimentId, job: null });
    await expect(client.experiment({ name: 'of the client' })).resolves.toMatchObject({ id: experimentId });
    await expect(client.experiment({ id: experimentId })).resolves.toMatchObject({ name: 'of the client' });
    const experiments = client.allExperiments({ search: 'OF THE', first: 1 });
    expect(namesOf(await Array.fromAsync(experiments))).toEqual(['of the client']);
    const models = client.allModels({ search: 'client', orderBy: { field: 'NAME', direction: 'DESC' } });
    expect(namesOf(await Array.fromAsync(models))).toEqual(['client model']);
    await expect(client.model('client model')).resolves.toMatchObject({ latestVersion: { version: '3' } });
    const versions = await Array.fromAsync(client.allModelVersions('client model', { first: 1 }));
    expect(versions.map((each) => each.version)).toEqual(['3', '2', '1']);
    await expect(client.modelVersion('client model', '2')).resolves.toMatchObject({
      runId: run.info.run_id,
      job: null,
    });
    for (const look of [
      () => client.experiment({ name: '' }),
      () => client.runs('99999'),
      () => client.run('nope'),
      () => client.model('nope'),
      () => client.modelVersions('nope'),
      () => client.modelVersion('client model', '9'),
    ]) {
      await expect(look()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
  });
});
