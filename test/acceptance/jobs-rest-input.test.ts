import { describe, expect, inject, test } from 'vitest';
import { JOB_LIMIT_MS } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what the public API answers is looked at by the expectations
  readonly body: any;
}

async function upload(script: string, changes: object = {}, headers: object = {}): Promise<Answer> {
  const name = uniqueName('rest');
  const fields = { script_name: 'train.py', script_content: script, experiment_name: name, model_name: name };
  const answer = await fetch(`${url}/mlops/training/upload`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...fields, ...changes }),
  });
  return { status: answer.status, body: await answer.json() };
}

/** Hands in a job and waits for its end, as the guide's client does. */
// biome-ignore lint/suspicious/noExplicitAny: as above
async function run(script: string, changes: object): Promise<any> {
  const { status, body } = await upload(script, changes);
  expect(status).toBe(202);
  const look = async () => (await fetch(`${url}/mlops/training/jobs/${body.job_id}`)).json();
  return poll(look, (job) => job.status === 'completed' || job.status === 'failed', JOB_LIMIT_MS);
}

describe.concurrent('a job that was handed in by REST', { timeout: JOB_LIMIT_MS }, () => {
  test('fails when its requirements cannot be resolved, and its log has what uv says of it', async () => {
    const job = await run('print("never")\n', { requirements: ['text-unidecode==98.0', 'pandas'] });
    expect(job).toMatchObject({ status: 'failed', run_id: null, model_version: null });
    expect(job.error).toContain('could not resolve the requirements');
    expect(job.logs).toMatch(/No solution found/);
    expect(job.logs).toContain('text-unidecode==98.0');
    expect(job.logs).not.toContain('never');
  });

  test('gets its variables as they are, whatever they hold', async () => {
    const values = {
      QUOTES: `it's "quoted" '''thrice''' """again"""`,
      LINES: 'one\ntwo\r\nthree\n',
      DOLLAR: '$HOME $(id) %PATH% `id` {PATH} $$',
      BACKSLASH: '\\n \\\\ \\x41 C:\\temp\\',
      UNICODE: 'ä ✅ 🐍 \u2028',
      EMPTY: '',
      constructor: 'a name that objects have',
      LONG: '✅'.repeat(32_768),
    };
    const script = `import json, os
print(json.dumps({name: os.environ[name] for name in ${JSON.stringify(Object.keys(values))}}))
print("END")
`;
    const job = await run(script, { environment_vars: values });
    expect(job.status).toBe('completed');
    // A long line comes in several.
    expect(JSON.parse(job.logs.split('\nEND\n')[0].replaceAll('\n', ''))).toEqual(values);
  });

  test('is made once for an idempotency key, in the header or the body', async () => {
    const key = uniqueName('key');
    const first = await upload('print(1)\n', {}, { 'idempotency-key': key });
    const again = await upload('print(2)\n', { idempotency_key: key });
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.body.job_id).toBe(first.body.job_id);
    const bad = await upload('print(4)\n', {}, { 'idempotency-key': 'two words' });
    expect(bad).toMatchObject({ status: 422, body: { detail: [{ loc: ['header', 'idempotency-key'] }] } });
  });

  test.each([
    'MLFLOW_TRACKING_URI',
    'MLFLOW_TRACKING_TOKEN',
    'ASGARD_JOB_ID',
    'PATH',
    'HOME',
    'LD_PRELOAD',
    'PYTHONPATH',
  ])('may not set %s, which is the platform’s own', async (name) => {
    const { status, body } = await upload('print(1)\n', { environment_vars: { [name]: 'x' } });
    expect(status).toBe(422);
    expect(body.detail).toMatchObject([{ loc: ['body', 'environment_vars', name] }]);
    expect(body.detail[0].msg).toContain('is set by the platform');
  });
});
