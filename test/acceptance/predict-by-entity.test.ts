import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type EndedJob, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { CLASSIFIER_SCRIPT } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');
const { features } = jobs.client;
const schema = uniqueName('entity').replaceAll('-', '_');
const [customers, shops] = [`${schema}_customers`, `${schema}_shops`];
const HOUR_MS = 3_600_000;

/** Customers 1 to 8: the values of 2 are ten days old, those of 3 older than the ttl of their view. */
const CUSTOMERS = Array.from({ length: 8 }, (_, index) => index + 1);
/** Beyond the whole numbers that JavaScript has. */
const FAR = '9007199254740993';
const hoursOld = (customer: number) => ({ 2: 240, 3: 2400 })[customer] ?? 1;

/** What is said of the rows: customers 1, 2, 3 whose values have expired, and 99 whom nobody knows. */
const entities = { customer_id: [1, 2, 3, 99], shop_id: [1, 2, 1, 2] };
const basket = [1.5, 2.5, 3.5, 4.5];

const READ = `
import json, mlflow, pandas
from feast import FeatureStore
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
store = FeatureStore(repo_path="/tmp/feast_repo")
def read(customers, shops, **options):
    rows = {"customer_id": customers, "shop_id": shops, "event_timestamp": pandas.Timestamp.now(tz="UTC")}
    names = ["${customers}:orders", "${customers}:spend", "${shops}:rating"]
    return store.get_historical_features(entity_df=pandas.DataFrame(rows), features=names, **options).to_df()
`;

/** Takes null for what is not known, and \`basket\`, which no view has. Prints what it predicts itself of the rows. */
const LENIENT = `${READ}
columns = ["orders", "spend", "rating"]
x = read(${JSON.stringify(CUSTOMERS)}, [1, 2] * 4)[columns].assign(basket=[1.0, 5.0, 2.0, 2.0, 7.0, 1.0, 3.0, 4.0]).astype(float)
model = make_pipeline(SimpleImputer(), LinearRegression()).fit(x, x.fillna(0) @ [3.0, 0.5, 2.0, 7.0])
with mlflow.start_run():
    mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle", input_example=x[:2])
rows = read(${JSON.stringify(entities.customer_id)}, ${JSON.stringify(entities.shop_id)})[columns]
print(json.dumps(list(model.predict(rows.assign(basket=${JSON.stringify(basket)}).astype(float)))))
`;

/** Takes whole numbers under their views' names, the customer's own number among them. */
const STRICT = `${READ}
known = [1, 2, 4, 5, 6]
x = read(known, [1] * 5, full_feature_names=True)[["${customers}__orders", "customer_id"]].astype("int64")
model = LinearRegression().fit(x, x.sum(axis=1))
with mlflow.start_run():
    signature = mlflow.models.infer_signature(x, model.predict(x))
    mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle", signature=signature)
`;

/** Knows its columns by their order alone. */
const NAMELESS = `${READ}
import pickle
x = read([1, 2, 4], [1] * 3)[["orders", "spend"]].to_numpy()
with mlflow.start_run():
    pickle.dump(LinearRegression().fit(x, x.sum(axis=1)), open("model.pkl", "wb"))
    mlflow.log_artifact("model.pkl", artifact_path="model")
`;

async function makeView(name: string, key: string, types: Record<string, string>, lines: string[], ttlDays: number) {
  const csv = [`${key},event_timestamp,${Object.keys(types)}`, ...lines].join('\n');
  const headers = { 'content-type': 'text/csv' };
  const answer = await fetch(`${url}/iceberg/tables/${schema}/${name}`, { method: 'PUT', headers, body: `${csv}\n` });
  expect(answer.ok, await answer.clone().text()).toBe(true);
  await features.applyView({
    name,
    entities: [key],
    features: Object.entries(types).map(([feature, dtype]) => ({ name: feature, dtype: dtype as 'INT64' })),
    source: { schema, tableName: name },
    ttlSeconds: ttlDays * 86_400,
    online: true,
  });
}

let lenient: EndedJob;
let models: { lenient: string; strict: string; nameless: string; plain: string };

beforeAll(async () => {
  const at = (hours: number) => new Date(Date.now() - hours * HOUR_MS).toISOString();
  const rows = CUSTOMERS.map((id) => `${id},${at(hoursOld(id))},${(id * 3) % 7},${id * 1.5}`);
  rows.push(`${FAR},${at(1)},5,1`);
  await makeView(customers, 'customer_id', { orders: 'INT64', spend: 'FLOAT64' }, rows, 30);
  await makeView(shops, 'shop_id', { rating: 'FLOAT64' }, [`1,${at(2)},4.5`, `2,${at(2)},2.5`], 0);
  for (const { id } of await features.materialize([customers, shops])) {
    const states = await Array.fromAsync(features.materializationEvents(id));
    expect(states.at(-1)).toMatchObject({ status: 'COMPLETED' });
  }
  const ended = await Promise.all([LENIENT, STRICT, NAMELESS, CLASSIFIER_SCRIPT].map((script) => jobs.run(script)));
  for (const { job, output } of ended)
    expect(job.status, JSON.stringify(output.map(({ text }) => text))).toBe('COMPLETED');
  const [first, ...others] = ended;
  if (first === undefined) throw new Error('there is no job');
  lenient = first;
  const [strict = '', nameless = '', plain = ''] = others.map(({ job }) => job.modelName);
  models = { lenient: first.job.modelName, strict, nameless, plain };
}, 2 * JOB_LIMIT_MS);

const infer = (body: object) => post(JSON.stringify(body));

async function post(body: string) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/mlops/inference`, { method: 'POST', headers, body });
  return { status: answer.status, timing: answer.headers.get('server-timing') ?? '', body: await answer.json() };
}

/** What the online store has of the rows, as anybody reads it. */
async function byHand() {
  const of = async (view: string, name: string, key: 'customer_id' | 'shop_id') => {
    const online = await features.online({ features: [`${view}:${name}`], entities: { [key]: entities[key] } });
    return [name, online.features[0]?.values ?? []] as const;
  };
  const read = [of(customers, 'orders', 'customer_id'), of(customers, 'spend', 'customer_id')];
  return Object.fromEntries(await Promise.all([...read, of(shops, 'rating', 'shop_id')]));
}

describe('prediction by entity', { timeout: JOB_LIMIT_MS }, () => {
  test('is what the same features given by hand predict, and what the model itself does', async () => {
    const given = await byHand();
    expect(given).toEqual({ orders: [3, 6, null, null], spend: [1.5, 3, null, null], rating: [4.5, 2.5, 4.5, 2.5] });
    const itself = JSON.parse(lenient.stdout.at(-1) ?? '');
    const ask = { model_name: models.lenient };
    const [entity, hand] = await Promise.all([
      infer({ ...ask, entities, inputs: { basket } }),
      infer({ ...ask, inputs: { ...given, basket } }),
    ]);
    expect(entity, JSON.stringify(entity.body)).toMatchObject({ status: 200 });
    expect(entity.body.predictions).toEqual(itself.map((value: number) => expect.closeTo(value, 4)));
    expect(entity.body.predictions).toEqual(hand.body.predictions.map((value: number) => expect.closeTo(value, 6)));
    expect(new Set(entity.body.predictions).size).toBe(4);
    const input = { modelName: models.lenient, entities, inputs: { basket } };
    expect((await jobs.client.predict(input)).predictions).toEqual(
      entity.body.predictions.map((value: number) => expect.closeTo(value, 6)),
    );
  });

  test('tells what was missing, how old the features are, and what reading them took', async () => {
    const ask = { model_name: models.lenient, entities, inputs: { basket } };
    const { body, timing } = await infer({ ...ask, include_metadata: true });
    const missing = [
      [2, 'OUTSIDE_MAX_AGE'],
      [3, 'NOT_FOUND'],
    ].flatMap(([row, status]) =>
      ['orders', 'spend'].map((column) => ({ row, column, feature: `${customers}:${column}`, status })),
    );
    expect(body.metadata.features.missing).toEqual(missing);
    const [ofCustomers, ofShops] = body.metadata.features.views;
    expect(ofCustomers.feature_view).toBe(customers);
    expect(ofCustomers.oldest_age_seconds / 3600).toBeCloseTo(2400, 0);
    expect(Date.parse(ofShops.oldest_event_timestamp)).toBeCloseTo(Date.now() - 2 * HOUR_MS, -6);
    expect(timing).toMatch(/queue;dur=[0-9.]+, features;dur=[0-9.]+, predict;dur=/);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/mlops_inference_phase_seconds_count\{model="[^"]+",phase="features"\} [1-9]/);
    const plain = await infer({
      model_name: models.lenient,
      inputs: { ...(await byHand()), basket },
      include_metadata: true,
    });
    expect(plain.body.metadata).not.toHaveProperty('features');
    expect(plain.timing).not.toContain('features');
    const answer = await jobs.client.predict({ modelName: models.lenient, entities, inputs: { basket } });
    expect(answer.features?.views.map(({ featureViewName }) => featureViewName)).toEqual([customers, shops]);
    expect(answer.features?.missing).toContainEqual({ ...missing[0], status: 'EXPIRED' });
  });

  test('prefers columns that are given to features, and needs no join key of those that are all given', async () => {
    const given = await byHand();
    const spend = [100, 200, 300, 400];
    const hand = await infer({ model_name: models.lenient, inputs: { ...given, spend, basket } });
    const mixed = await infer({ model_name: models.lenient, entities, inputs: { basket, spend } });
    expect(mixed.body.predictions).toEqual(hand.body.predictions.map((value: number) => expect.closeTo(value, 6)));
    const inputs = { rating: given['rating'], spend, basket };
    const without = { model_name: models.lenient, entities: { customer_id: entities.customer_id }, inputs };
    expect((await infer(without)).body.predictions).toEqual(mixed.body.predictions);
    expect((await infer({ ...without, entities })).body.predictions).toEqual(mixed.body.predictions);
    const whole = { ...without, inputs: { ...inputs, orders: given['orders'] }, max_feature_age_seconds: 0 };
    expect((await infer(whole)).body.predictions).toEqual(mixed.body.predictions);
  });

  test('knows full feature names and join keys among the columns of the training set', async () => {
    const ask = { model_name: models.strict, entities: { customer_id: [1, 2, 4] } };
    const { body } = await infer(ask);
    expect(body.predictions).toEqual([4, 8, 9].map((value) => expect.closeTo(value, 6)));
    const text = await infer({ ...ask, entities: { customer_id: ['1', 2, 4] } });
    expect(text.body.predictions).toEqual(body.predictions);
  });

  test('knows entities by numbers that JavaScript would round, as numbers and as strings of their digits', async () => {
    const ask = (rest: string) => post(`{"model_name": "${models.strict}", ${rest}}`);
    const [hand, ...by] = await Promise.all([
      ask(`"inputs": {"${customers}__orders": [5], "customer_id": [${FAR}]}`),
      ask(`"entities": {"customer_id": [${FAR}]}`),
      ask(`"entities": {"customer_id": ["${FAR}"]}`),
    ]);
    expect(hand, JSON.stringify(hand.body)).toMatchObject({ status: 200 });
    for (const each of by) expect(each.body.predictions).toEqual(hand.body.predictions);
  });

  test('with a limit to the age of features is refused with the rows that are older', async () => {
    const ask = { model_name: models.lenient, inputs: { basket }, entities };
    const fresh = { ...ask, inputs: { basket: [1] }, entities: { customer_id: [1], shop_id: [1] } };
    expect(await infer({ ...fresh, max_feature_age_seconds: 86_400 })).toMatchObject({ status: 200 });
    const { status, body } = await infer({ ...ask, max_feature_age_seconds: 86_400 });
    expect(status).toBe(422);
    expect(body.detail.map(({ loc, type }: { loc: unknown[]; type: string }) => [...loc, type])).toEqual(
      [1, 2].map((row) => ['body', 'entities', 'customer_id', row, 'feature_too_old']),
    );
    const old = new RegExp(`^${customers}:orders, ${customers}:spend are 86[0-9]{4}\\.\\d s old, .* 86400 s`);
    expect(body.detail[0].msg).toMatch(old);
    await expect(
      jobs.client.predict({ modelName: models.lenient, entities, inputs: { basket }, maxFeatureAgeSeconds: 86_400 }),
    ).rejects.toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: ['entities', 'customer_id', '1'] }, {}] });
  });
});

describe('prediction by entity that cannot be', { timeout: JOB_LIMIT_MS }, () => {
  const two = { customer_id: [1, 2], shop_id: [1, 2] };
  const inputs = { basket: [1, 2] };

  test.each<[string, keyof typeof models, object, string[], string]>([
    [
      'a wrong join key',
      'lenient',
      { inputs, entities: { customer: [1, 2] } },
      ['entities', 'customer'],
      'customer_id',
    ],
    [
      'a missing join key',
      'lenient',
      { inputs, entities: { customer_id: [1, 2] } },
      ['entities', 'shop_id'],
      'shop_id',
    ],
    ['no entities', 'lenient', { inputs, entities: {} }, ['entities'], 'join key'],
    [
      'entities without rows',
      'lenient',
      { entities: { customer_id: [] } },
      ['entities', 'customer_id'],
      'at least one',
    ],
    ['entities of unequal numbers', 'lenient', { entities: { ...two, shop_id: [1] } }, ['entities', 'shop_id'], '2'],
    ['columns of another number', 'lenient', { inputs: { basket: [1] }, entities: two }, ['inputs', 'basket'], '1'],
    [
      'a join key of another type',
      'lenient',
      { inputs, entities: { ...two, shop_id: ['a', 'b'] } },
      ['entities', 'shop_id', '0'],
      'whole number',
    ],
    ['a column that is nowhere', 'lenient', { entities: two }, ['inputs', 'basket'], 'basket'],
    [
      'a column that the model does not take',
      'lenient',
      { inputs: { ...inputs, more: [1, 2] }, entities: two },
      ['inputs', 'more'],
      'more',
    ],
    [
      'a limit that is no age',
      'lenient',
      { inputs, entities: two, maxFeatureAgeSeconds: -1 },
      ['maxFeatureAgeSeconds'],
      '0',
    ],
    ['neither rows nor entities', 'lenient', {}, ['inputs'], 'inputs'],
    [
      'a version trained without features',
      'plain',
      { entities: { customer_id: [1] } },
      ['entities'],
      'without features',
    ],
    ['a version that knows no names', 'nameless', { entities: { customer_id: [1] } }, ['entities'], 'order'],
    [
      'an unknown entity of a model that takes no null',
      'strict',
      { entities: { customer_id: [1, 99] } },
      ['inputs', `${customers}__orders`, '1'],
      'does not have',
    ],
  ])('with %s names what is wrong', async (_what, model, request, path, named) => {
    const modelName = models[model];
    const failure = await jobs.client.predict({ modelName, ...request }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'INVALID_INPUT',
      issues: [{ path, message: expect.stringContaining(named) }],
    });
    const { maxFeatureAgeSeconds, ...rest } = request as { maxFeatureAgeSeconds?: number };
    const { status, body } = await infer({
      model_name: modelName,
      ...rest,
      ...(maxFeatureAgeSeconds !== undefined && { max_feature_age_seconds: maxFeatureAgeSeconds }),
    });
    expect(status).toBe(422);
    const wire = path.map((part) => (part === 'maxFeatureAgeSeconds' ? 'max_feature_age_seconds' : part));
    expect(body.detail[0].loc.map(String)).toEqual(['body', ...wire]);
  });

  test('without rows and entities is told as a missing field', async () => {
    const { body } = await infer({ model_name: models.lenient });
    expect(body.detail).toMatchObject([{ loc: ['body', 'inputs'], type: 'missing' }]);
  });

  test('as a feature view is online no more says so', async () => {
    await features.applyView({
      name: shops,
      entities: ['shop_id'],
      features: [{ name: 'rating', dtype: 'FLOAT64' }],
      source: { schema, tableName: shops },
      online: false,
    });
    const { status, body } = await infer({ model_name: models.lenient, entities: two, inputs });
    expect(status).toBe(409);
    expect(body.detail).toContain(`feature view ${shops} is not online`);
    const rating = [4.5, 2.5];
    const given = { model_name: models.lenient, entities: { customer_id: [1, 2] }, inputs: { ...inputs, rating } };
    expect((await infer(given)).status).toBe(200);
  });
});
