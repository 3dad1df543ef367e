import { describe, expect, inject, test } from 'vitest';
import { poll } from '../support/poll.ts';
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

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
  readonly body: any;
}

async function post(path: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

const WRONG = 'import mlflow\n\nimport numpy pandas\nprint("never")\n';
/** For so long it is handed in again: what is taken leaves a job behind. */
const SOON_MS = 20_000;
const SAID = 'SyntaxError: invalid syntax (train.py, line 3): import numpy pandas';

/**
 * What refused a script that is handed in under a name of its own, and that nothing of it was stored. One that cannot be judged within
 * moments, on a busy machine, is taken, as its run will tell: then it is handed in once more.
 */
async function refusalOf(submit: (name: string) => Promise<Answer>, isTaken: (answer: Answer) => boolean) {
  const handIn = async () => {
    const name = uniqueName('syntax');
    return { name, answer: await submit(name) };
  };
  const { name, answer } = await poll(handIn, (handedIn) => !isTaken(handedIn.answer), SOON_MS);
  const stored = await post('/graphql', { query: STORED, variables: { name } });
  expect(stored.body).toEqual({ data: { trainingJobs: { edges: [] } } });
  return answer;
}

describe('a script that Python cannot compile', () => {
  test.each([
    ['as text', WRONG],
    ['as base64', Buffer.from(WRONG).toString('base64')],
  ])('is refused by REST at upload, with its line, when it is sent %s', async (_how, script_content) => {
    const upload = (name: string) => {
      const fields = { script_name: 'train.py', experiment_name: name, model_name: name };
      return post('/mlops/training/upload', { ...fields, script_content });
    };
    expect(await refusalOf(upload, ({ status }) => status === 202)).toEqual({
      status: 422,
      body: {
        detail: [{ loc: ['body', 'script_content'], msg: SAID, type: 'syntax_error' }],
        request_id: expect.any(String),
      },
    });
  });

  test('is refused by GraphQL at once, with its line, and stores nothing', async () => {
    const submit = (name: string) => {
      const input = { scriptName: 'train.py', script: WRONG, experimentName: name, modelName: name };
      return post('/graphql', { query: SUBMIT, variables: { input } });
    };
    const { body } = await refusalOf(submit, (answer) => {
      return answer.body.data?.submitTrainingJob.__typename === 'TrainingJob';
    });
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
  });
});
