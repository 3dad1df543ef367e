import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import {
  askGraphql,
  askRest,
  checkAnswer,
  expectSame,
  type Itself,
  itselfOf,
  postText,
  trainingScript,
} from '../support/odd-inputs/ask.ts';
import { inputsOf, ODD_INPUTS, type OddModel } from '../support/odd-inputs/cases.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');
const prefix = uniqueName('odd');
const jobs = new JobsForTests();
let itself: Itself[];

beforeAll(async () => {
  const { job, stdout, said } = await jobs.run(await trainingScript(prefix), { modelName: `${prefix}_forest` });
  expect(job.status, [...stdout, ...said].slice(-20).join('\n')).toBe('COMPLETED');
  itself = itselfOf(stdout);
  expect(itself).toHaveLength(ODD_INPUTS.length);
}, JOB_LIMIT_MS);
afterAll(() => jobs[Symbol.asyncDispose]());

describe('an odd input is answered as the model itself says, or refused at its place, by REST and GraphQL alike', () => {
  test.each(ODD_INPUTS.map((input, number) => ({ ...input, number })))(
    '$model: $what',
    async ({ number, ...input }) => {
      const rest = await askRest(url, prefix, input);
      checkAnswer(input, itself[number] ?? { error: 'nothing' }, rest);
      const graphql = await askGraphql(url, prefix, input);
      checkAnswer(input, itself[number] ?? { error: 'nothing' }, graphql);
      // zod’s words are FastAPI’s in REST.
      if (!('message' in rest && /list$/.test(rest.message))) expectSame(rest, graphql);
    },
  );
});

const nameOf = (model: OddModel) => `${prefix}_${model}`;
const rest = (model: OddModel, inputs: string) =>
  postText(`${url}/mlops/inference`, `{"model_name": "${nameOf(model)}", "inputs": ${inputs}}`);
const graphql = (model: OddModel, inputs: string) =>
  postText(
    `${url}/graphql`,
    `{"query": "mutation ($input: PredictInput!) { predict(input: $input) { __typename } }",
      "variables": {"input": {"modelName": "${nameOf(model)}", "inputs": ${inputs}}}}`,
  );

describe('what is no JSON, or JSON that nobody can mean, is refused before any model sees it', () => {
  test.each(['NaN', '-Infinity', 'Infinity', 'nan', '01', '0x10', '1.', '.5', '+1', "'x'", '1_000'])(
    '%s for a number',
    async (token) => {
      const inputs = inputsOf('forest', { age: `[${token}, 1]` });
      const { status, body } = await rest('forest', inputs);
      expect(status).toBe(422);
      expect(body.detail).toMatchObject([{ type: 'json_invalid', msg: expect.stringMatching(/^JSON decode error: /) }]);
      expect(await graphql('forest', inputs)).toMatchObject({
        status: 400,
        body: { errors: [{ message: expect.stringMatching(/JSON/) }] },
      });
    },
  );

  test.each(['age', String.raw`\u0061ge`])('a column that is given twice, again as "%s"', async (name) => {
    const inputs = inputsOf('forest').replace('{', `{"${name}": [3, 4], `);
    expect(await rest('forest', inputs)).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 'inputs', 'age'], msg: 'is given twice' }] },
    });
    expect(await graphql('forest', inputs)).toMatchObject({
      status: 400,
      body: {
        errors: [
          {
            message: 'variables.input.inputs.age is given twice',
            extensions: { code: 'INVALID_INPUT', isRetryable: false, requestId: expect.any(String) },
          },
        ],
      },
    });
  });

  test('lists in more than 100 levels', async () => {
    const inputs = `{"a": [${'['.repeat(200)}${']'.repeat(200)}]}`;
    expect((await rest('anything', inputs)).body.detail[0].msg).toMatch(/nested more than 100 levels/);
    expect((await graphql('anything', inputs)).body.errors[0].message).toMatch(/nested more than 100 levels/);
  });
});

describe('large inputs', () => {
  test('of 100,000 rows are answered, each row its own, with every digit', async () => {
    const count = 100_000;
    const first = 9_007_199_254_740_993n;
    const column = (text: (row: number) => string) =>
      `[${Array.from({ length: count }, (_, row) => text(row)).join()}]`;
    const inputs = inputsOf('echo', {
      id: column((row) => String(first + BigInt(row))),
      since: column(() => '"2025-01-02"'),
      note: column((row) => `"note ${row}"`),
    });
    const { status, body } = await rest('echo', inputs);
    expect(status).toBe(200);
    expect(body.predictions).toHaveLength(count);
    for (const row of [0, 1, 49_999, 99_999]) {
      const { id, note } = body.predictions[row];
      expect([JSON.stringify(id), note]).toEqual([String(first + BigInt(row)), `note ${row}`]);
    }
  });

  test('of 100,001 rows are refused', async () => {
    const values = `[${'1,'.repeat(100_000)}1]`;
    expect(await rest('anything', `{"a": ${values}}`)).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 'inputs', 'a'], msg: expect.stringMatching(/at most 100000/) }] },
    });
  });

  test('of 10,000 columns are answered by a model that takes any, and refused in few words by one that does not', async () => {
    const names = Array.from({ length: 10_000 }, (_, number) => `column ${number}`);
    const inputs = `{${names.map((name, number) => `"${name}": [${number}]`).join()}}`;
    const answer = await rest('anything', inputs);
    expect(answer.status).toBe(200);
    expect(answer.body.predictions[0]).toMatch(/'column 9999': 'int64'.* 9999\]$/);
    const refused = await rest('forest', inputs);
    expect(refused.status).toBe(422);
    const [{ msg }] = refused.body.detail;
    expect(msg).toMatch(/^missing columns 'age', .*unknown columns 'column 0'.* and 9990 more$/);
    expect(msg.length).toBeLessThan(2000);
  });

  test('of more columns than values of a request are refused by their number', async () => {
    const names = Array.from({ length: 100_001 }, (_, number) => `"${number}": [1]`);
    const { status, body } = await rest('anything', `{${names.join()}}`);
    expect(status).toBe(422);
    expect(body.detail[0].msg).toMatch(/100000/);
  });

  test('beyond the limit are refused with it', async () => {
    const text = ' '.repeat(16 * 2 ** 20);
    const message = /larger than 16777216 bytes.*ASGARD_REQUEST_LIMIT/;
    const refused = await rest('forest', `${inputsOf('forest')}${text}`);
    expect(refused).toMatchObject({ status: 413, body: { detail: expect.stringMatching(message) } });
    expect(await graphql('forest', `${inputsOf('forest')}${text}`)).toMatchObject({
      status: 413,
      body: { errors: [{ message: expect.stringMatching(message), extensions: { code: 'TOO_LARGE' } }] },
    });
  });
});

describe('whole numbers beyond 2^53 in a GraphQL document', () => {
  test('keep their digits', async () => {
    const document = `mutation { predict(input: { modelName: "${nameOf('echo')}", inputs: {
      id: [9007199254740993], since: ["2025-01-02"], note: ["a"] } }) { ... on Prediction { predictions } } }`;
    const { body } = await postText(`${url}/graphql`, JSON.stringify({ query: document }));
    expect(JSON.stringify(body.data.predict.predictions[0].id)).toBe('9007199254740993');
  });
});
