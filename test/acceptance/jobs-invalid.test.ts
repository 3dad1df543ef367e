import { describe, expect, inject, test } from 'vitest';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');

const SUBMIT = `mutation ($input: SubmitTrainingJobInput!) {
  submitTrainingJob(input: $input) {
    __typename
    ... on TrainingJob { id }
    ... on Error { code message }
    ... on InvalidInputError { issues { path message type } }
  }
}`;
const STORED = `query ($filter: TrainingJobFilter) {
  trainingJobs(first: 1, filter: $filter) { edges { node { id } } }
}`;

// biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
async function post(query: string, variables: unknown): Promise<any> {
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return answer.json();
}

const variable = (name: string, value = 'x') => ({ environmentVariables: [{ name, value }] });
const tag = (key: string, value: string) => ({ tags: [{ key, value }] });
const many = <T>(count: number, item: (index: number) => T) => Array.from({ length: count }, (_, index) => item(index));

describe.concurrent('a submission', () => {
  test.each<[string, object, string]>([
    ['a folder in the name', { scriptName: '../train.py' }, 'scriptName'],
    ['an absolute name', { scriptName: '/etc/passwd' }, 'scriptName'],
    ['an empty name', { scriptName: '' }, 'scriptName'],
    ['a name that is an option', { scriptName: '-c' }, 'scriptName'],
    ['a name with a line feed', { scriptName: 'a\n.py' }, 'scriptName'],
    ['a name that is too long', { scriptName: `${'x'.repeat(256)}.py` }, 'scriptName'],
    ['no script', { script: '' }, 'script'],
    ['a script of white space', { script: ' \n\t\n' }, 'script'],
    ['a NUL in the script', { script: 'print("\0")' }, 'script'],
    ['half a character in the script', { script: 'print("\ud83d")' }, 'script'],
    ['a script of more than 1 MiB', { script: `#${'x'.repeat(1024 * 1024)}` }, 'script'],
    ['a script of more than 1 MiB in UTF-8', { script: `#${'✅'.repeat(400_000)}` }, 'script'],
    ['an empty experiment', { experimentName: '' }, 'experimentName'],
    ['an experiment that begins with a space', { experimentName: ' churn' }, 'experimentName'],
    ['a slash in the model', { modelName: 'a/b' }, 'modelName'],
    ['a colon in the model', { modelName: 'a:b' }, 'modelName'],
    ['an option as requirement', { requirements: ['pandas', '-r /etc/passwd'] }, 'requirements.1'],
    ['another index', { requirements: ['--index-url=http://example.com/'] }, 'requirements.0'],
    ['a URL as requirement', { requirements: ['x @ http://example.com/x.whl'] }, 'requirements.0'],
    ['a path as requirement', { requirements: ['./wheel.whl'] }, 'requirements.0'],
    ['an option behind a line feed', { requirements: ['a\n--index-url http://example.com'] }, 'requirements.0'],
    ['too many requirements', { requirements: many(201, (index) => `package-${index}`) }, 'requirements'],
    ['a variable of the platform', variable('MLFLOW_TRACKING_URI'), 'environmentVariables.MLFLOW_TRACKING_URI'],
    ['a variable of the loader', variable('LD_PRELOAD'), 'environmentVariables.LD_PRELOAD'],
    ['the search path', variable('PATH'), 'environmentVariables.PATH'],
    ['a variable that is no name', variable('A-B'), 'environmentVariables.A-B'],
    ['a NUL in a value', variable('A', 'a\0b'), 'environmentVariables.A'],
    ['a value that is too long', variable('A', 'x'.repeat(32_769)), 'environmentVariables.A'],
    [
      'too many variables',
      { environmentVariables: many(201, (index) => ({ name: `A${index}`, value: '' })) },
      'environmentVariables',
    ],
    ['a time limit that is too short', { timeoutSeconds: 59 }, 'timeoutSeconds'],
    ['a time limit that is too long', { timeoutSeconds: 3601 }, 'timeoutSeconds'],
    ['an empty tag', tag('', 'x'), 'tags.'],
    ['a tag that is too long', tag('a', 'x'.repeat(5001)), 'tags.a'],
    ['too many tags', { tags: many(101, (index) => ({ key: `t${index}`, value: '' })) }, 'tags'],
  ])('with %s is refused, names the field, and stores nothing', async (_what, changes, field) => {
    const name = uniqueName('invalid');
    const input = { scriptName: 'a.py', script: 'print(1)', experimentName: name, modelName: name, ...changes };
    const { data, errors } = await post(SUBMIT, { input });
    expect(errors).toBeUndefined();
    expect(data.submitTrainingJob).toMatchObject({ __typename: 'InvalidInputError', code: 'INVALID_INPUT' });
    const { issues, message } = data.submitTrainingJob;
    const paths = new Set(issues.map(({ path }: { path: string[] }) => path.join('.')));
    expect([...paths]).toEqual([field]);
    expect(message).toContain(field);
    const filter = 'modelName' in changes ? { experimentName: name } : { modelName: name };
    const stored = await post(STORED, { filter });
    expect(stored).toEqual({ data: { trainingJobs: { edges: [] } } });
  });

  test('with several mistakes names each of them', async () => {
    const name = uniqueName('invalid');
    const { data } = await post(SUBMIT, {
      input: {
        scriptName: 'a/b.py',
        script: '',
        experimentName: name,
        modelName: name,
        requirements: ['ok', '-e .'],
        timeoutSeconds: 1,
        ...variable('PATH'),
      },
    });
    const paths = data.submitTrainingJob.issues.map(({ path }: { path: string[] }) => path.join('.'));
    expect([...new Set(paths)].toSorted()).toEqual([
      'environmentVariables.PATH',
      'requirements.1',
      'script',
      'scriptName',
      'timeoutSeconds',
    ]);
  });

  test('of another shape is refused before it reaches the platform', async () => {
    const { data, errors } = await post(SUBMIT, { input: { scriptName: 'a.py', script: 5 } });
    expect(data ?? null).toBeNull();
    expect(errors.length).toBeGreaterThan(0);
  });
});
