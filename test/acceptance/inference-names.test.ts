import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { pickleScript } from '../support/training-scripts.ts';
import { uniqueName } from '../support/unique-name.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');

/** Names that mean something to a URL, a shell, a filter or a file system somewhere on the way. */
const NAMES = ['odd name', "it's", 'a%41b', 'a?b=c', 'a#b', 'a@b', 'ünï ✅', '..', 'LIKE %_'];

describe('a model name', { timeout: JOB_LIMIT_MS }, () => {
  const modelName = (name: string) => `${name} ${suffix}`;
  const suffix = uniqueName('odd');
  let ended: Map<string, Awaited<ReturnType<JobsForTests['run']>>>;

  beforeAll(async () => {
    // One script, whose pickle is registered under each name by its own job; a plain one, so that jobs are short.
    const script = pickleScript(2);
    ended = new Map(
      await Promise.all(
        NAMES.map(async (name) => [name, await jobs.run(script, { modelName: modelName(name) })] as const),
      ),
    );
  }, JOB_LIMIT_MS);

  test.each(NAMES)('%j is registered, listed, and asked for predictions', async (name) => {
    const full = modelName(name);
    expect(ended.get(name)?.job).toMatchObject({ status: 'COMPLETED', modelVersion: { name: full, version: '1' } });
    const answer = await fetch(`${url}/mlops/inference`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model_name: full, inputs: { a: [1], b: [1] } }),
    });
    const body = await answer.json();
    expect(body).toMatchObject({ model_name: full, model_version: '1', predictions: [expect.closeTo(4)] });
    const { items } = await jobs.client.models({ search: suffix, first: 100 });
    expect(items.map((model) => model.name)).toContain(full);
  });
});
