import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FeatureViewInput, featureViewInput } from '../../src/features/feature-view-input.ts';
import type { FeatureViewService } from '../../src/features/feature-views.ts';
import { featureServicesOn } from '../../src/features/services.ts';
import { hasCode } from '../../src/platform/errors.ts';
import { CUSTOMER_METRICS, writeTable } from '../support/feature-tables.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { type GraphqlForTests, post, startGraphql } from '../support/graphql-for-tests.ts';
import { allPages } from '../support/pages.ts';
import { poll } from '../support/poll.ts';

let features: FeaturesForTests;
let api: GraphqlForTests;
/** Of two platforms on one database. */
let replicas: readonly [FeatureViewService, FeatureViewService];
/** The methods that the bridge was asked for by `api`; empty it at will. */
const asked: string[] = [];

beforeAll(async () => {
  features = await FeaturesForTests.start();
  const database = await features.databases.create();
  api = await startGraphql(undefined, database.url, {
    request: (method, ...rest) => {
      asked.push(method);
      return features.bridge.request(method, ...rest);
    },
  });
  const other = features.otherBridge();
  other.start();
  const [here, there] = [features.bridge, other].map((bridge) => featureServicesOn(bridge).featureViews);
  if (here === undefined || there === undefined) throw new Error('there are two');
  replicas = [here, there];
  await writeTable(features, 'gold.customer_metrics', CUSTOMER_METRICS.types, CUSTOMER_METRICS.rows);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await features?.[Symbol.asyncDispose]();
});

function view(name: string, changes: object = {}): FeatureViewInput {
  return featureViewInput.parse({
    name,
    entities: ['customer_id'],
    features: [{ name: 'total_purchases', dtype: 'int64' }],
    source: { tableName: 'customer_metrics' },
    online: true,
    ...changes,
  });
}

/** Each view with what it must have: its online table, and as many versions as it counts. */
async function whole(prefix: string) {
  const { rows } = await features.database.pool.query(
    `SELECT v.feature_view_name AS name,
       EXISTS (SELECT FROM pg_tables WHERE schemaname = 'feast_online' AND tablename = 'asgard_' || v.feature_view_name) AS online,
       (SELECT count(*)::int FROM feast_registry.feature_view_version_history h
         WHERE h.feature_view_name = v.feature_view_name) AS versions
     FROM feast_registry.feature_views v WHERE starts_with(v.feature_view_name, $1) ORDER BY 1`,
    [prefix],
  );
  return rows;
}

describe('two platforms on one database', () => {
  test('that apply one view at once are told truly which of them did it', async () => {
    const [here, there] = replicas;
    const same = await Promise.all([0, 1, 2, 3].map((turn) => (turn % 2 === 0 ? here : there).apply(view('same'))));
    expect(same.map(({ action }) => action).toSorted()).toEqual(['created', 'unchanged', 'unchanged', 'unchanged']);
    const definitions = [view('other', { tags: { of: 'here' } }), view('other', { tags: { of: 'there' } })] as const;
    const other = await Promise.all([here.apply(definitions[0]), there.apply(definitions[1])]);
    const first = other.find(({ action }) => action === 'created');
    const second = other.find(({ action }) => action === 'changed');
    expect(second?.changes).toEqual([
      { kind: 'changed', path: ['tags', 'of'], before: first?.view.tags['of'], after: second?.view.tags['of'] },
    ]);
    expect(await there.byNames(['other'])).toMatchObject([{ tags: second?.view.tags }]);
  });

  test('lose none of eight views that both write, and none of their versions', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `race_${index}`);
    const wide = [
      { name: 'total_purchases', dtype: 'int64' },
      { name: 'avg_purchase_value', dtype: 'float64' },
    ];
    const writes = names.flatMap((name) => [
      replicas[0].apply(view(name)),
      replicas[1].apply(view(name, { features: wide })),
    ]);
    const actions = (await Promise.all(writes)).map(({ action }) => action);
    expect(actions.filter((action) => action === 'created')).toHaveLength(8);
    expect(actions.filter((action) => action === 'changed')).toHaveLength(8);
    expect(await whole('race_')).toEqual(names.map((name) => ({ name, online: true, versions: 2 })));
    const deleted = await Promise.allSettled(names.flatMap((name) => replicas.map((replica) => replica.delete(name))));
    expect(deleted.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
    for (const result of deleted)
      expect(result.status === 'fulfilled' || hasCode(result.reason, 'NOT_FOUND')).toBe(true);
    expect(await whole('race_')).toEqual([]);
  });

  test('of which one’s bridge is killed leave no view half applied', async () => {
    const names = Array.from({ length: 24 }, (_, index) => `killed_${index}`);
    const applied = names.map((name) => replicas[0].apply(view(name)));
    await Promise.race(applied);
    process.kill(features.bridge.pid ?? 0, 'SIGKILL');
    const results = await Promise.allSettled(applied);
    const failed = results.filter((result) => result.status === 'rejected');
    expect(failed.length).toBeGreaterThan(0);
    for (const { reason } of failed) expect(hasCode(reason, 'UNAVAILABLE')).toBe(true);
    // The database may still be at the last that the killed bridge has sent it.
    const underWay = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend' AND state <> 'idle'`;
    await poll(
      async () => (await features.database.pool.query(underWay)).rowCount,
      (count) => count === 0,
    );
    const found = await whole('killed_');
    expect(found.every(({ online, versions }) => online && versions === 1)).toBe(true);
    const { rows } = await features.database.pool.query(
      `SELECT count(*)::int FROM pg_tables WHERE schemaname = 'feast_online' AND starts_with(tablename, 'asgard_killed_')`,
    );
    expect(rows).toEqual([{ count: found.length }]);
    const again = await Promise.all(names.map((name) => replicas[1].apply(view(name))));
    expect(again.filter(({ action }) => action === 'unchanged')).toHaveLength(found.length);
    await Promise.all(names.map((name) => replicas[1].delete(name)));
  });
});

test('a view that is made again has nothing of the one before', async () => {
  const [here] = replicas;
  const values = () => features.database.pool.query('SELECT * FROM feast_online.asgard_again');
  await here.apply(view('again'));
  await features.database.pool.query(
    `INSERT INTO feast_online.asgard_again (entity_key, feature_name, value) VALUES ('k', 'total_purchases', 'v')`,
  );
  await here.apply(view('again', { description: 'more', features: [{ name: 'total_purchases', dtype: 'float64' }] }));
  expect((await values()).rows).toEqual([]);
  await here.delete('again');
  await expect(values()).rejects.toThrow('does not exist');
  // Another view may be about other things by the same name, once nobody is about those any more.
  for (const name of ['same', 'other']) await here.delete(name);
  const types = { ...CUSTOMER_METRICS.types, customer_id: 'string' };
  await writeTable(features, 'gold.customers_by_text', types, CUSTOMER_METRICS.rows);
  const again = await here.apply(view('again', { source: { tableName: 'customers_by_text' } }));
  expect(again).toMatchObject({ action: 'created', view: { version: 0, description: '' } });
  await here.delete('again');
});

test('words in any script, and as many tags as there may be, are kept as they are', async () => {
  const tags = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`tag.${index}`, '🐻'.repeat(2500)]));
  const words = { description: 'Käufe je Kunde — 顧客ごとの購入 \u{1f9ee}\n', owner: 'Ünal', tags };
  const feature = { name: 'total_purchases', dtype: 'int64', description: 'всего', tags: { unit: '' } };
  await replicas[0].apply(view('words', { ...words, features: [feature] }));
  const [stored] = await replicas[1].byNames(['words']);
  expect(stored).toMatchObject({ ...words, features: [feature] });
  expect(await replicas[0].apply(view('words', { ...words, features: [feature] }))).toMatchObject({
    action: 'unchanged',
  });
  await replicas[0].delete('words');
});

const APPLY = `mutation ($input: FeatureViewInput!) { applyFeatureView(input: $input) { __typename
  ... on AppliedFeatureView { action changes { kind path before after } view { name version ttlSeconds features { name dtype } } }
  ... on InvalidInputError { message issues { path message type } }
  ... on ConflictError { message } } }`;
const APPLY_SERVICE = `mutation ($input: FeatureServiceInput!) { applyFeatureService(input: $input) { __typename
  ... on AppliedFeatureService { action service { name features views { features view { name version } } } }
  ... on InvalidInputError { issues { path message } } } }`;

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function run(query: string, variables: Record<string, unknown> = {}): Promise<any> {
  const { body } = await post(api.url, query, variables);
  expect(body.errors).toBeUndefined();
  return Object.values(body.data)[0];
}

describe('in GraphQL', () => {
  const input = (name: string, changes: object = {}) => ({
    name,
    entities: ['customer_id'],
    features: [
      { name: 'total_purchases', dtype: 'INT64' },
      { name: 'days_since_last_purchase', dtype: 'INT32' },
    ],
    source: { tableName: 'customer_metrics' },
    ttlDays: 0.5,
    tags: [{ key: 'team', value: 'data' }],
    ...changes,
  });

  test('a view is planned, applied, and told of with its issues by the names of the input', async () => {
    const plan = `query ($input: FeatureViewInput!) { featureViewPlan(input: $input) { __typename
      ... on FeatureViewPlan { action changes { path } view { name ttlSeconds source { timestampField } }
        sourceTable snapshotId columns { name type } sample { rowCount repeatedKeys firstRows nullRates { column rate } } }
      ... on InvalidInputError { issues { path type } } } }`;
    expect(await run(plan, { input: input('planned') })).toMatchObject({
      __typename: 'FeatureViewPlan',
      action: 'CREATED',
      view: { name: 'planned', ttlSeconds: 43_200, source: { timestampField: 'event_timestamp' } },
      sourceTable: 'iceberg.gold.customer_metrics',
      sample: { rowCount: 5, firstRows: expect.arrayContaining([[1, '2025-11-01T00:00:00Z', 10, 7]]) },
    });
    expect(await run('{ featureView(name: "planned") { name } }')).toBeNull();
    const wrong = { ...input('planned'), source: { tableName: 'customer_metrics', timestampField: 'customer_id' } };
    expect(await run(plan, { input: wrong })).toEqual({
      __typename: 'InvalidInputError',
      issues: [{ path: ['source', 'timestampField'], type: 'type_error' }],
    });
    expect(await run(APPLY, { input: input('planned') })).toMatchObject({
      action: 'CREATED',
      view: { version: 0, ttlSeconds: 43_200, features: [{ dtype: 'INT64' }, { dtype: 'INT32' }] },
    });
    expect(await run(APPLY, { input: input('planned') })).toMatchObject({ action: 'UNCHANGED', changes: [] });
  });

  test('a feature service holds on to its views, and follows them', async () => {
    const service = { name: 'churn', features: ['planned:total_purchases', 'plannd', 'planned:total'] };
    const refused = await run(APPLY_SERVICE, { input: service });
    expect(refused.issues).toEqual([
      { path: ['features', '1'], message: expect.stringContaining('did you mean "planned"') },
      { path: ['features', '2'], message: expect.stringContaining('did you mean "total_purchases"') },
    ]);
    const good = { name: 'churn', features: ['planned:days_since_last_purchase'] };
    const made = { name: 'churn', features: good.features, views: [{ view: { name: 'planned', version: 0 } }] };
    expect(await run(APPLY_SERVICE, { input: good })).toMatchObject({ action: 'CREATED', service: made });
    expect(await run(APPLY_SERVICE, { input: good })).toMatchObject({ action: 'UNCHANGED', service: made });
    const gone = 'mutation { deleteFeatureView(name: "planned") { __typename ... on ConflictError { message } } }';
    expect(await run(gone)).toMatchObject({ __typename: 'ConflictError', message: expect.stringContaining('churn') });
    const less = input('planned', { features: [{ name: 'total_purchases', dtype: 'INT64' }] });
    expect((await run(APPLY, { input: less })).message).toContain('has days_since_last_purchase of the feature view');
    const wider = input('planned', { features: [{ name: 'days_since_last_purchase', dtype: 'INT64' }] });
    expect(await run(APPLY, { input: wider })).toMatchObject({ action: 'CHANGED', view: { version: 1 } });
    // Feast keeps a copy of each feature in a service: were it the old one, scripts would be told the old type.
    const { rows } = await features.database.pool.query<{ proto: Buffer }>(
      `SELECT feature_service_proto AS proto FROM feast_registry.feature_services`,
    );
    const int64 = Buffer.from('days_since_last_purchase\x10\x04', 'latin1');
    expect(rows.map(({ proto }) => proto.includes(int64))).toEqual([true]);
    await run('mutation { deleteFeatureService(name: "churn") { __typename } }');
    expect(await run('mutation { deleteFeatureService(name: "churn") { __typename } }')).toEqual({
      __typename: 'NotFoundError',
    });
  });

  test('lists are paged by name, and cost the bridge a call a page and one for what is named in it', async () => {
    for (const name of ['b', 'c', 'a']) await run(APPLY, { input: input(name) });
    for (const name of ['s2', 's1'])
      await run(APPLY_SERVICE, { input: { name, features: ['b', 'a:total_purchases'] } });
    const names = await allPages<{ name: string }>(api.url, { field: 'featureViews(ARGS)', node: 'name' }, () =>
      run(APPLY, { input: input('b') }),
    );
    expect(names.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'planned']);
    expect(await run('{ featureViews(search: "LAN") { totalCount edges { node { name } } } }')).toEqual({
      totalCount: 1,
      edges: [{ node: { name: 'planned' } }],
    });
    asked.length = 0;
    const both = await post(
      api.url,
      `{ featureServices { edges { node { name views { view { name tags { key } } } } } }
         entities { edges { node { name dtype views { name } } } } featureView(name: "c") { name } }`,
    );
    expect(both.body.data).toMatchObject({
      featureServices: { edges: [{ node: { name: 's1' } }, { node: { name: 's2' } }] },
      entities: { edges: [{ node: { dtype: 'int64', views: ['a', 'b', 'c', 'planned'].map((name) => ({ name })) } }] },
    });
    const finds = asked.filter((method) => method === 'views.find').length;
    expect(asked.filter((method) => method !== 'views.find').toSorted()).toEqual(['entities.list', 'services.list']);
    expect(finds).toBeLessThanOrEqual(3);
  });

  test('names that nothing can have name nothing', async () => {
    expect(await run('query ($n: String!) { featureView(name: $n) { name } }', { n: '\0' })).toBeNull();
    for (const field of ['deleteFeatureView', 'deleteFeatureService']) {
      const gone = await run(`mutation ($n: String!) { ${field}(name: $n) { __typename } }`, { n: '\0' });
      expect(gone).toEqual({ __typename: 'NotFoundError' });
    }
    const answer = await fetch(`${api.url}/feast/features/plannd`);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ detail: 'there is no feature view "plannd"; did you mean "planned"?' });
  });
});
