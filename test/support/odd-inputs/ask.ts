import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { parseExactJson } from '../../../src/platform/exact-json.ts';
import { ODD_INPUTS, type OddInput, type OddModel } from './cases.ts';
import { stricterBecause } from './stricter.ts';

/** What came of a request: predictions, or what is wrong and where. */
export type OddAnswer =
  | { readonly engine: string | null; readonly predictions: readonly unknown[]; readonly probabilities: unknown }
  | { readonly path: readonly (string | number)[]; readonly message: string };

/** What a model says of rows by itself; `error` is what it raised. */
export type Itself = { readonly predictions: readonly unknown[]; readonly probabilities: unknown } | { error: string };

/** Models that say how probable classes are. */
const CLASSIFIERS: ReadonlySet<OddModel> = new Set(['forest', 'pipeline', 'strict', 'histogram']);

/** The script that trains and registers the models, each as `<prefix>_<model>`; the job is to be that of the forest. */
export async function trainingScript(prefix: string): Promise<string> {
  const train = await readFile(join(import.meta.dirname, 'train.py'), 'utf8');
  const cases = JSON.stringify(ODD_INPUTS.map(({ model, inputs }) => ({ model, inputs })));
  // A string of JSON is one of Python; replaced by functions, as a text has a meaning for `$`.
  const filledIn = train.replace('"@PREFIX@"', () => JSON.stringify(prefix));
  return filledIn.replace('"@CASES@"', () => JSON.stringify(cases));
}

/** What the script printed of what the models say themselves, by the number of the case. */
export function itselfOf(lines: readonly string[]): Itself[] {
  const said: Itself[] = [];
  for (const line of lines) {
    if (!line.startsWith('itself ')) continue;
    const { number, ...rest } = parseExactJson(line.slice('itself '.length)) as Itself & { number: number };
    said[number] = rest;
  }
  return said;
}

/** Sends the text of some inputs by REST. */
export async function askRest(url: string, prefix: string, { model, inputs }: OddInput): Promise<OddAnswer> {
  const wants = CLASSIFIERS.has(model);
  const { status, headers, body } = await postText(
    `${url}/mlops/inference`,
    `{"model_name": "${prefix}_${model}", "return_probabilities": ${wants}, "inputs": ${inputs}}`,
  );
  if (status === 200) {
    return { engine: headers.get('x-asgard-engine'), predictions: body.predictions, probabilities: body.probabilities };
  }
  expect(status, JSON.stringify(body)).toBe(422);
  const [{ loc, msg }] = body.detail;
  expect(loc[0]).toBe('body');
  return { path: loc.slice(1), message: msg };
}

const PREDICT = `mutation ($input: PredictInput!) {
  predict(input: $input) {
    __typename
    ... on Prediction { predictions probabilities }
    ... on InvalidInputError { message issues { path message } }
  }
}`;

/** Sends the text of some inputs by GraphQL. */
export async function askGraphql(url: string, prefix: string, { model, inputs }: OddInput): Promise<OddAnswer> {
  const wants = CLASSIFIERS.has(model);
  const variables = `{"input": {"modelName": "${prefix}_${model}", "returnProbabilities": ${wants}, "inputs": ${inputs}}}`;
  const { status, body } = await postText(
    `${url}/graphql`,
    `{"query": ${JSON.stringify(PREDICT)}, "variables": ${variables}}`,
  );
  expect(status, JSON.stringify(body)).toBe(200);
  const { predict } = body.data ?? expect.fail(JSON.stringify(body));
  if (predict.__typename === 'Prediction') return { engine: null, ...predict };
  expect(predict).toMatchObject({ __typename: 'InvalidInputError' });
  const [{ path, message }] = predict.issues;
  return { path, message };
}

/** Whole numbers of an answer keep their digits. */
// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
export async function postText(url: string, text: string): Promise<{ status: number; headers: Headers; body: any }> {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text });
  return { status: answer.status, headers: answer.headers, body: parseExactJson(await answer.text()) };
}

/** Holds an answer against what the table and the model itself say. */
export function checkAnswer(input: OddInput, itself: Itself, got: OddAnswer): void {
  const { refused, answered } = input;
  if (refused !== undefined) {
    const itselfAnswers = stricterBecause(input) !== undefined;
    expect('predictions' in itself, `whether the model itself answers: ${JSON.stringify(itself)}`).toBe(itselfAnswers);
    expect(withTextPath(got)).toMatchObject({
      path: refused.path.map(String),
      message: expect.stringMatching(refused.says),
    });
    return;
  }
  if (!('predictions' in got)) throw new Error(`it was refused: ${got.message}`);
  if (answered !== undefined) {
    expect(got.predictions).toEqual(answered);
    return;
  }
  if ('error' in itself) throw new Error(`the model itself refuses it: ${itself.error}`);
  expect(got.predictions).toEqual(itself.predictions);
  // Compiled, probabilities are equal as far as single precision goes.
  if (got.engine === 'onnx') expectClose(got.probabilities, itself.probabilities);
  else expect(got.probabilities).toEqual(itself.probabilities);
}

/** The same message and place; or predictions, of whichever engine. */
export function expectSame(one: OddAnswer, other: OddAnswer): void {
  if (!('predictions' in one) || !('predictions' in other)) {
    expect(withTextPath(one)).toEqual(withTextPath(other));
    return;
  }
  expect(one.predictions).toEqual(other.predictions);
  expectClose(one.probabilities, other.probabilities);
}

function withTextPath(answer: OddAnswer): unknown {
  return 'path' in answer ? { ...answer, path: answer.path.map(String) } : answer;
}

function expectClose(some: unknown, others: unknown): void {
  if (!Array.isArray(some) || !Array.isArray(others)) {
    if (typeof some === 'number' && typeof others === 'number') {
      expect(Math.abs(some - others)).toBeLessThanOrEqual(1e-5 * Math.max(Math.abs(others), 0.025));
    } else {
      expect(some).toEqual(others);
    }
    return;
  }
  expect(some).toHaveLength(others.length);
  for (const [at, value] of some.entries()) expectClose(value, others[at]);
}
