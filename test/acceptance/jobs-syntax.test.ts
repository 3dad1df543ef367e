import { describe, expect, inject, test } from 'vitest';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');

const SUBMIT = `mutation ($input: SubmitTrainingJobInput!) {
  submitTrainingJob(input: $input) {
    __typename
    ... on Error { code message }
    ... on InvalidInputError { issues { path message type } }
  }
}`;
const STORED =
  'query ($name: String!) { trainingJobs(first: 1, filter: { modelName: $name }) { edges { node { id } } } }';

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function post(path: string, body: object): Promise<{ status: number; body: any }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

const WRONG = 'import mlflow\n\nimport numpy pandas\nprint("never")\n';
const SAID = 'SyntaxError: invalid syntax (train.py, line 3): import numpy pandas';

describe.concurrent('a script that Python cannot compile', () => {
  test.each([
    ['as text', WRONG],
    ['as base64', Buffer.from(WRONG).toString('base64')],
  ])('is refused by REST at upload, with its line, when it is sent %s', async (_how, script_content) => {
    const name = uniqueName('syntax');
    const fields = { script_name: 'train.py', experiment_name: name, model_name: name };
    const answer = await post('/mlops/training/upload', { ...fields, script_content });
    expect(answer).toEqual({
      status: 422,
      body: {
        detail: [{ loc: ['body', 'script_content'], msg: SAID, type: 'syntax_error' }],
        request_id: expect.any(String),
      },
    });
    const stored = await post('/graphql', { query: STORED, variables: { name } });
    expect(stored.body).toEqual({ data: { trainingJobs: { edges: [] } } });
  });

  test('is refused by GraphQL at once, with its line, and stores nothing', async () => {
    const name = uniqueName('syntax');
    const input = { scriptName: 'train.py', script: WRONG, experimentName: name, modelName: name };
    const { body } = await post('/graphql', { query: SUBMIT, variables: { input } });
    expect(body).toEqual({
      data: {
        submitTrainingJob: {
          __typename: 'InvalidInputError',
          code: 'INVALID_INPUT',
          message: `the job was not taken: script: ${SAID}`,
          issues: [{ path: ['script'], message: SAID, type: 'syntax_error' }],
        },
      },
    });
    const stored = await post('/graphql', { query: STORED, variables: { name } });
    expect(stored.body).toEqual({ data: { trainingJobs: { edges: [] } } });
  });
});
