import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { trainedFeatures } from '../../src/jobs/trained-features.ts';
import type { Columns } from '../support/feast-sdk.ts';
import { post } from '../support/graphql-for-tests.ts';
import { OnlineForTests } from '../support/online-for-tests.ts';
import { ageOf, KIND_ROWS, KINDS, row } from '../support/online-view.ts';
import { poll } from '../support/poll.ts';
import { uniqueName } from '../support/unique-name.ts';

let own: OnlineForTests;
beforeAll(async () => {
  own = await OnlineForTests.start();
});
afterAll(() => own?.[Symbol.asyncDispose]());

const onlineAnswer = z.object({
  metadata: z.object({ feature_names: z.array(z.string()) }),
  results: z.array(z.looseObject({ values: z.array(z.unknown()) })),
});
const refused = z.object({ detail: z.array(z.object({ loc: z.array(z.unknown()), msg: z.string() })) });

/** What is said of the first mistake in a request for online features; undefined when there is none. */
async function detail(request: object): Promise<unknown> {
  const { answer } = await own.rest(own.here, '/feast/online', request);
  return refused.safeParse(answer).data?.detail[0];
}

test('more values than an answer may hold are refused, and fewer of them are read', async () => {
  const customers = [1, 2, 3];
  const view = await own.makeView(customers.map((customer) => row(customer, 1, 5)));
  await own.materialize(view);
  const text = 'x'.repeat(12 * 1024 ** 2);
  // A Value of Feast's with a text: the field's tag, the length in seven bits a byte, the text.
  const length = [0, 7, 14, 21].map((shift) => ((text.length >>> shift) & 0x7f) | (shift < 21 ? 0x80 : 0));
  const value = Buffer.concat([Buffer.from([0x12, ...length]), Buffer.from(text)]);
  const sql = `UPDATE feast_online."asgard_${view}" SET value = $1 WHERE feature_name = 'name'`;
  await own.features.database.pool.query(sql, [value]);
  const message = expect.stringMatching(
    /^the values of a feature view are 37 MiB, and at most 32 MiB are answered at once/,
  );
  await expect(own.read(view, customers, ['name'])).rejects.toMatchObject({ code: 'TOO_LARGE', message });
  const { columns } = await own.read(view, [3, 1], ['name']);
  expect(columns[0]?.cells.map((cell) => cell.value === text)).toEqual([true, true]);
  expect(await own.totals(view, customers)).toEqual([5, 5, 5]);
});

test('a value of every kind is answered as Feast’s server answers it, by REST and by GraphQL', async () => {
  const table = uniqueName('kinds').replaceAll('-', '_');
  const columns = Object.fromEntries(Object.entries(KINDS).map(([name, [column]]) => [name, column]));
  const all: Columns = { customer_id: 'long', event_timestamp: 'time', ...columns };
  const rows = [0, 1, 2].map((index) => ({
    ...row(index, 1, null),
    ...Object.fromEntries(Object.entries(KIND_ROWS).map(([name, cells]) => [name, cells[index]?.[0]])),
  }));
  await own.sdk.create(`gold.${table}`, all, rows);
  const types = Object.fromEntries(Object.entries(KINDS).map(([name, [, type]]) => [name, type]));
  await own.makeView([row(1, 1, 1)]); // makes the entity
  await own.sdk.apply('view', { view: table, table, features: types, entities: ['customer_id'] });
  expect(await own.materialize(table)).toMatchObject({ mode: 'FULL', entities: 3 });

  const names = Object.keys(KINDS).map((name) => `${table}:${name}`);
  const entities = { customer_id: [0, 1, 2] };
  const expected = Object.fromEntries(
    Object.entries(KIND_ROWS).map(([name, cells]) => [name, cells.map(([, read]) => read)]),
  );
  const { answer } = await own.rest(own.here, '/feast/online', { features: names, entities });
  const { metadata, results } = onlineAnswer.parse(answer);
  const { customer_id: _, ...ours } = Object.fromEntries(
    metadata.feature_names.map((name, index) => [name, results[index]?.values]),
  );
  expect(ours).toEqual(expected);
  // Feast's server shows its mark for "no time" within a list as it is.
  const moments = [[1762164000], ['-9223372036854775808'], null];
  expect(await own.sdk.online(names, entities)).toMatchObject({ ...expected, moments });
  const query = 'query ($input: OnlineFeaturesInput!) { onlineFeatures(input: $input) { features { name values } } }';
  const { body } = await post(own.here.url, query, { input: { features: names, entities } });
  expect(body.data.onlineFeatures.features).toEqual(
    Object.entries(expected).map(([name, values]) => ({ name, values })),
  );
});

test('a service’s aliases and join keys are Feast’s; what only Feast computes is refused by its name', async () => {
  const view = await own.makeView([row(1, 2, 11), row(2, 2, 12)]);
  await own.materialize(view);
  const [service, computed, without] = ['trade', 'computed', 'without'].map((name) => `${view}_${name}`);
  const parts = ['buyer', 'seller'].map((who) => ({ view, alias: who, join_keys: { customer_id: `${who}_id` } }));
  await own.sdk.apply('service', { service, parts });
  const entities = { buyer_id: [1, 2], seller_id: [2, 3] };
  const request = { feature_service: service, entities, full_feature_names: true };
  const answer = await poll(
    () => own.rest(own.here, '/feast/online', request),
    ({ status }) => status === 200,
  );
  const { metadata, results } = onlineAnswer.parse(answer.answer);
  const {
    buyer_id: _buyers,
    seller_id: _sellers,
    ...ours
  } = Object.fromEntries(metadata.feature_names.map((name, index) => [name, results[index]?.values]));
  expect(ours).toMatchObject({ buyer__total_purchases: [11, 12], seller__total_purchases: [12, null] });
  expect(await own.sdk.online(service ?? '', entities, true)).toMatchObject(ours);
  const trained = trainedFeatures(
    ['buyer', 'seller'].map((who) => ({
      featureView: who,
      features: ['total_purchases'],
      retrieval: { view, join_keys: { customer_id: `${who}_id` }, full_feature_names: true },
    })),
  );
  const wanted = trained.map((feature) => ({ ...feature, column: `of the ${feature.viewName}` }));
  const columns = await own.here.services.onlineFeatures.readTrained(wanted, entities);
  expect(columns.map(({ name, cells }) => [name, cells.map(({ value }) => value)])).toEqual([
    ['of the buyer', [11, 12]],
    ['of the seller', [12, null]],
  ]);
  for (const changes of [{ version: 1 }, { view: `${view}_gone` }, { feature: 'gone' }]) {
    const asked = wanted.slice(0, 1).map((each) => ({ ...each, ...changes }));
    await expect(own.here.services.onlineFeatures.readTrained(asked, { buyer_id: [1] })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('the model was trained on'),
    });
  }
  expect(await detail({ ...request, entities: { buyer_id: [1], seller_id: ['x'] } })).toMatchObject({
    loc: ['body', 'entities', 'seller_id', 0],
    msg: expect.stringContaining('seller_id is a whole number'),
  });

  await own.sdk.apply('on demand', { view: computed, of: view });
  await own.sdk.apply('view', { view: without, table: view, features: { name: 'String' }, entities: [] });
  const onDemand = { service: `${service}_2`, parts: [{ view: computed, on_demand: true }] };
  await own.sdk.apply('service', onDemand);
  const refusals = [
    [{ feature_service: onDemand.service }, `${computed} is an on-demand feature view, which only Feast itself serves`],
    [{ features: [`${without}:name`] }, `feature view ${without} has no entity`],
  ] as const;
  for (const [asked, message] of refusals) {
    const told = () => detail({ ...asked, entities: { customer_id: [1] } });
    await expect.poll(told).toMatchObject({ msg: expect.stringContaining(message) });
  }
  await expect(own.materialize(without ?? '')).rejects.toThrow('it has no entity');
  expect(await own.totals(view, [1])).toEqual([11]);
});

test('REST answers as feast serve does, and GraphQL with the same values', async () => {
  const began = Date.now();
  const view = await own.makeView([row(1, 2, 11), row(2, 30, 12)], { ttlSeconds: 24 * 3600 });
  expect(await own.end(own.here, await own.start(own.here, view))).toMatchObject({
    status: 'completed',
    mode: 'full',
    entities: 2,
  });
  const { status, answer } = await own.rest(own.here, '/feast/online', {
    features: [`${view}:total_purchases`, `${view}:name`],
    entities: { customer_id: [1, '2', 3] },
    full_feature_names: true,
  });
  expect([status, answer]).toEqual([
    200,
    {
      metadata: { feature_names: ['customer_id', `${view}__total_purchases`, `${view}__name`] },
      results: [
        expect.objectContaining({ values: [1, '2', 3], statuses: ['PRESENT', 'PRESENT', 'PRESENT'] }),
        {
          values: [11, null, null],
          statuses: ['PRESENT', 'OUTSIDE_MAX_AGE', 'NOT_FOUND'],
          event_timestamps: [expect.any(String), expect.any(String), '1970-01-01T00:00:00Z'],
          ages_seconds: [ageOf(2, began), ageOf(30, began), null],
        },
        expect.objectContaining({ values: ['kůň 11', null, null] }),
      ],
    },
  ]);
  const query = `query ($input: OnlineFeaturesInput!) { onlineFeatures(input: $input) {
    entities features { name values statuses agesSeconds eventTimestamps } } }`;
  const input = { features: [`${view}:total_purchases`], entities: { customer_id: [1, 2, 3] } };
  const { body } = await post(own.here.url, query, { input });
  expect(body.data.onlineFeatures.features).toMatchObject([
    { name: 'total_purchases', values: [11, null, null], statuses: ['PRESENT', 'EXPIRED', 'MISSING'] },
  ]);
});

test('what is not known is refused by its name, with the nearest that is', async () => {
  const view = await own.makeView([row(1, 2, 11)]);
  const offline = await own.makeView([row(1, 2, 11)], { online: false });
  const refusal = async (changes: object) => {
    const body = { features: [`${view}:name`], entities: { customer_id: [1] }, ...changes };
    const { status, answer } = await own.rest(own.here, '/feast/online', body);
    return [status, refused.parse(answer).detail[0]];
  };
  const cases: [object, (string | number)[], string][] = [
    [{ features: [`${view}x:name`] }, ['features', 0], `there is no feature view "${view}x"; did you mean "${view}"?`],
    [
      { features: [`${view}:nam`] },
      ['features', 0],
      `there is no feature "nam" in feature view ${view}; did you mean "name"?`,
    ],
    [{ features: ['name'] }, ['features', 0], 'a feature is named view:feature, not "name"'],
    [
      { features: [`${offline}:name`] },
      ['features', 0],
      `feature view ${offline} is not online: apply it with "online": true first`,
    ],
    [
      { entities: { customer: [1] } },
      ['entities', 'customer'],
      'there is no join key "customer"; did you mean "customer_id"?',
    ],
    [
      { entities: { customer_id: [1, 'x'] } },
      ['entities', 'customer_id', 1],
      'customer_id is a whole number of 64 bits; beyond 2^53 as a string of its digits, not "x"',
    ],
    [
      { features: null, feature_service: 'none' },
      ['feature_service'],
      expect.stringContaining('there is no feature service "none"'),
    ],
    [
      { entities: { customer_id: Array(1001).fill(1) } },
      ['entities', 'customer_id'],
      'Should have at most 1000 item(s)',
    ],
  ];
  for (const [changes, place, message] of cases) {
    expect(await refusal(changes)).toEqual([422, { loc: ['body', ...place], msg: message }]);
  }
  expect(await own.rest(own.here, '/feast/materialize', { feature_views: [`${view}x`] })).toMatchObject({
    status: 404,
  });
  expect(await own.rest(own.here, '/feast/materialize', { feature_views: [offline] })).toMatchObject({ status: 409 });
});
