import { describe, expect, test } from 'vitest';
import { AsgardError } from '../../src/platform/errors.ts';
import { toWireIssue } from '../../src/rest/errors.ts';
import type { WireIssue } from '../../src/rest/protocol-failures.ts';
import { inferenceRequest } from '../../src/rest/wire.ts';
import { decodeScript, uploadRequest } from '../../src/rest/wire-upload.ts';
import { parse } from '../../src/rest/zod-routes.ts';

const SCRIPT = 'import mlflow\nprint("✅ done")\n';
const upload = {
  script_name: 'train.py',
  script_content: Buffer.from(SCRIPT).toString('base64'),
  experiment_name: 'customer_churn',
  model_name: 'churn_predictor',
};
const parseUpload = (body: unknown) => parse(uploadRequest, body);
const parseInference = (body: unknown) => parse(inferenceRequest, body);
const inference = { model_name: 'churn_predictor', inputs: { age: [1, 2] } };

function issuesOf(action: () => unknown): WireIssue[] {
  try {
    action();
  } catch (error) {
    if (error instanceof AsgardError) return error.issues.map((issue) => toWireIssue(issue));
    throw error;
  }
  throw new Error('nothing was refused');
}

test('an alias that a prediction is asked of by a field of its own is not passed over', () => {
  const msg = 'there is no such field; did you mean "model_version"?';
  for (const name of ['alias', 'version']) {
    const issues = issuesOf(() => parseInference({ ...inference, [name]: 'champion' }));
    expect(issues).toEqual([{ loc: ['body', name], msg, type: 'value_error' }]);
  }
  expect(parseInference({ ...inference, model_version: 'champion', alias: null }).modelVersion).toBe('champion');
});

test('many long names that are no fields are passed over in no time', () => {
  const names = Array.from({ length: 20_000 }, (_, index) => [`${'x'.repeat(500)}${index}`, 1]);
  expect(parseInference({ ...inference, ...Object.fromEntries(names) }).modelName).toBe('churn_predictor');
});

describe('an upload', () => {
  test("the guide's request becomes a submission, field by field", () => {
    const submission = parseUpload({
      ...upload,
      requirements: ['scikit-learn', 'pandas'],
      environment_vars: { DATA_PATH: '/data/customers.csv' },
      timeout: 600,
      tags: { team: 'data-science' },
      grace_seconds: 0,
      priority: '-7',
      retries: 3,
      retry_on: 'any',
      idempotency_key: 'monday/1',
    });
    expect(submission).toEqual({
      scriptName: 'train.py',
      script: SCRIPT,
      experimentName: 'customer_churn',
      modelName: 'churn_predictor',
      requirements: ['scikit-learn', 'pandas'],
      environmentVars: { DATA_PATH: '/data/customers.csv' },
      timeoutSeconds: 600,
      tags: { team: 'data-science' },
      graceSeconds: 0,
      priority: -7,
      retries: 3,
      retryOn: 'ANY',
      idempotencyKey: 'monday/1',
    });
  });

  test('what is left out, or null, takes its default', () => {
    const domain = { requirements: [], environmentVars: {}, timeoutSeconds: 300, tags: {} };
    const defaults = {
      ...domain,
      graceSeconds: 10,
      retries: 0,
      retryOn: 'INFRASTRUCTURE',
      priority: 0,
      idempotencyKey: undefined,
    };
    expect(parseUpload(upload)).toMatchObject(defaults);
    const names = [
      'requirements',
      'environment_vars',
      'timeout',
      'tags',
      'grace_seconds',
      'priority',
      'idempotency_key',
    ];
    const nulls = Object.fromEntries(names.map((name) => [name, null]));
    expect(parseUpload({ ...upload, ...nulls })).toMatchObject(defaults);
  });

  test('unknown fields are ignored', () => {
    expect(parseUpload({ ...upload, urgency: 9, user: 'ada', model_type: 'forest' }).timeoutSeconds).toBe(300);
  });

  test.each([
    ['timout', 'timeout'],
    ['timeout_seconds', 'timeout'],
    ['env_vars', 'environment_vars'],
    ['requirement', 'requirements'],
  ])('a field %s, which is none, is not passed over: %s is meant', (name, meant) => {
    const problem = {
      loc: ['body', name],
      msg: `there is no such field; did you mean "${meant}"?`,
      type: 'value_error',
    };
    expect(issuesOf(() => parseUpload({ ...upload, [name]: 900 }))).toEqual([problem]);
    expect(parseUpload({ ...upload, [name]: null }).timeoutSeconds).toBe(300);
  });

  test.each(['600', ' 600 ', '600.0', 600, 600.0])('the timeout %j is 600 seconds', (timeout) => {
    expect(parseUpload({ ...upload, timeout }).timeoutSeconds).toBe(600);
  });

  test.each([
    ['timeout', 59, 'greater_than_equal', 'Input should be greater than or equal to 60'],
    ['timeout', 3601, 'less_than_equal', 'Input should be less than or equal to 3600'],
    ['timeout', 90.5, 'int_type', 'Input should be a valid integer'],
    ['retries', 11, 'less_than_equal', 'Input should be less than or equal to 10'],
    ['grace_seconds', 61, 'less_than_equal', 'Input should be less than or equal to 60'],
    ['priority', 101, 'less_than_equal', 'Input should be less than or equal to 100'],
    ['timeout', 'soon', 'int_type', 'Input should be a valid integer'],
    ['timeout', true, 'int_type', 'Input should be a valid integer'],
    ['script_name', undefined, 'missing', 'Field required'],
    ['script_name', null, 'missing', 'Field required'],
    ['script_name', 7, 'string_type', 'Input should be a valid string'],
    ['script_name', '', 'string_too_short', 'String should have at least 1 character'],
    ['script_content', undefined, 'missing', 'Field required'],
    ['script_content', '', 'value_error', 'must not be empty'],
    ['script_content', 'ICAg', 'value_error', 'must not be empty'],
    ['experiment_name', ['a'], 'string_type', 'Input should be a valid string'],
    ['model_name', {}, 'string_type', 'Input should be a valid string'],
    ['requirements', 'pandas', 'list_type', 'Input should be a valid list'],
    ['environment_vars', [], 'dict_type', 'Input should be a valid dictionary'],
    ['tags', 'team', 'dict_type', 'Input should be a valid dictionary'],
  ])('%s: %j is refused as %s', (field, value, type, msg) => {
    const issues = issuesOf(() => parseUpload({ ...upload, [field]: value }));
    expect(issues[0]).toEqual({ loc: ['body', field], msg: expect.stringContaining(msg), type });
  });

  test('a refusal inside a list or a map names the place in it', () => {
    const body = { ...upload, requirements: ['pandas', 3], environment_vars: { timeoutSeconds: 5, '1st': 'x' } };
    const locations = issuesOf(() => parseUpload(body)).map(({ loc }) => loc);
    expect(locations).toContainEqual(['body', 'requirements', 1]);
    expect(locations).toContainEqual(['body', 'environment_vars', 'timeoutSeconds']);
    expect(locations).toContainEqual(['body', 'environment_vars', '1st']);
  });

  test('a bad variable name is told by what is wrong with it', () => {
    const issues = issuesOf(() => parseUpload({ ...upload, environment_vars: { '1st': 'x' } }));
    expect(issues).toEqual([
      {
        loc: ['body', 'environment_vars', '1st'],
        msg: expect.stringContaining('must be a variable name'),
        type: 'string_pattern_mismatch',
      },
    ]);
  });

  test('every problem is told at once', () => {
    const fields = issuesOf(() => parseUpload({ script_content: 'x', timeout: 1 })).map(({ loc }) => loc[1]);
    expect(fields.toSorted()).toEqual(['experiment_name', 'model_name', 'script_name', 'timeout']);
  });

  test.each([
    [undefined, 'missing'],
    [null, 'model_attributes_type'],
    ['text', 'model_attributes_type'],
    [[], 'model_attributes_type'],
  ])('the body %j is refused as a whole', (body, type) => {
    expect(issuesOf(() => parseUpload(body))).toEqual([{ loc: ['body'], msg: expect.any(String), type }]);
  });
});

describe('script_content', () => {
  test('base64 is decoded, also when it is wrapped into lines', () => {
    const long = SCRIPT.repeat(20);
    const packed = Buffer.from(long).toString('base64');
    expect(decodeScript(packed)).toBe(long);
    expect(decodeScript(`${packed.replace(/.{76}/g, '$&\n')}\n`)).toBe(long);
  });

  test.each([SCRIPT, 'print(1)', 'import os', 'quit', 'abc', 'aGk', 'pass\n'])(
    'the plain text %j stands for itself',
    (text) => {
      expect(decodeScript(text)).toBe(text);
    },
  );

  test('a short text that could be base64 of what is no UTF-8 text stands for itself', () => {
    const packed = Buffer.alloc(17, 0xff).toString('base64').replace(/=+$/, '');
    for (const text of [packed, '//4A', 'aaaaaaaaaaaaaaaaaaaa']) expect(decodeScript(text)).toBe(text);
  });

  test('base64 of what is no UTF-8 text is refused, together with whatever else is wrong', () => {
    const script_content = Buffer.from('print("é")  # coding: latin-1', 'latin1').toString('base64');
    expect(issuesOf(() => parseUpload({ ...upload, script_content, timeout: 1 }))).toEqual([
      { loc: ['body', 'script_content'], msg: expect.stringContaining('is not UTF-8 text'), type: 'value_error' },
      { loc: ['body', 'timeout'], msg: expect.any(String), type: 'greater_than_equal' },
    ]);
  });
});

describe('an inference request', () => {
  test('is parsed, asking for no probabilities unless told to', () => {
    expect(parseInference(inference)).toEqual({
      modelName: 'churn_predictor',
      inputs: { age: [1, 2] },
      returnProbabilities: false,
      includeMetadata: false,
    });
    expect(parseInference({ ...inference, return_probabilities: 'true' }).returnProbabilities).toBe(true);
  });

  test.each([
    [3, '3'],
    ['3', '3'],
    ['latest', 'latest'],
    ['champion', 'champion'],
    [null, undefined],
    [undefined, undefined],
  ])('model_version %j is the version %j', (given, version) => {
    expect(parseInference({ ...inference, model_version: given }).modelVersion).toBe(version);
  });

  test.each([
    ['model_name', '', 'string_too_short'],
    ['model_name', undefined, 'missing'],
    ['model_version', 'v1', 'string_pattern_mismatch'],
    ['model_version', 0, 'string_pattern_mismatch'],
    ['model_version', 1.5, 'string_pattern_mismatch'],
    ['model_version', true, 'string_type'],
    ['inputs', [[1, 2]], 'dict_type'],
    ['return_probabilities', 'perhaps', 'bool_type'],
  ])('%s: %j is refused as %s', (field, value, type) => {
    const issues = issuesOf(() => parseInference({ ...inference, [field]: value }));
    expect(issues).toEqual([{ loc: ['body', field], msg: expect.any(String), type }]);
  });

  test('a column that is no list is named', () => {
    const issues = issuesOf(() => parseInference({ ...inference, inputs: { age: 5 } }));
    expect(issues).toEqual([
      { loc: ['body', 'inputs', 'age'], msg: 'Input should be a valid list', type: 'list_type' },
    ]);
  });
});
