import { isDeepStrictEqual } from 'node:util';
import { afterAll, describe, expect, inject, test } from 'vitest';
import { askGraphql } from '../support/ask-graphql.ts';
import { type EndedJob, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

async function packagesOf({ job }: EndedJob): Promise<{ name: string; version: string }[]> {
  const query = 'query ($id: ID!) { trainingJob(id: $id) { environment { packages { name version } } } }';
  return (await askGraphql(query, { id: job.id })).trainingJob.environment.packages;
}

/** Two jobs' environments have the same packages, and are one unless one of those got a newer version between their resolutions. */
async function expectOne(first: EndedJob, second: EndedJob): Promise<void> {
  const [one = [], other = []] = await Promise.all([first, second].map(packagesOf));
  expect(other.map(({ name }) => name)).toEqual(one.map(({ name }) => name));
  const isOne = second.job.environmentHash === first.job.environmentHash;
  expect(isOne).toBe(isDeepStrictEqual(one, other));
}

describe('an environment', { timeout: JOB_LIMIT_MS }, () => {
  test('of a job with a requirement has that package and the base ones, and is kept for the next job', async () => {
    const base = await jobs.run(`
import importlib.util
print([importlib.util.find_spec(name) is not None for name in ("mlflow", "sklearn", "pandas", "numpy", "text_unidecode")])
`);
    expect(base.stdout).toEqual(['[True, True, True, True, False]']);

    const script = 'import numpy, text_unidecode\nprint(text_unidecode.unidecode("Ünïcödé"))\n';
    // Whether it is built now or was by an earlier run of the tests.
    const first = await jobs.run(script, { requirements: ['text-unidecode'] });
    expect(first.job).toMatchObject({ status: 'COMPLETED', requirements: ['text-unidecode'] });
    expect(first.stdout).toEqual(['Unicode']);
    expect(first.job.environmentHash).toMatch(/^[0-9a-f]{16}$/);
    expect(first.job.environmentHash).not.toBe(base.job.environmentHash);

    const [again, spelt] = await Promise.all([
      jobs.run(script, { requirements: ['text-unidecode'] }),
      jobs.run(script, { requirements: [' text-unidecode ', 'text-unidecode'] }),
    ]);
    for (const job of [again, spelt]) {
      expect(job.stdout).toEqual(['Unicode']);
      expect(job.job.environmentHash).toBe(first.job.environmentHash);
      expect(job.of('EnvironmentLine')).toEqual([]);
    }
  });

  test('can be looked at with its packages, its jobs and their models', async () => {
    const { job } = await jobs.run('pass\n');
    const query = `{ trainingJob(id: "${job.id}") { environment {
      hash pythonVersion status buildSeconds sizeBytes lastUsedAt packages { name version }
      jobs(first: 100) { edges { node { id } } } models(first: 1) { edges { node { name } } } } } }`;
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ query });
    const answer = await fetch(`${inject('platform').url}/graphql`, { method: 'POST', headers, body });
    const { environment } = (await answer.json()).data.trainingJob;
    expect(environment).toMatchObject({
      hash: job.environmentHash,
      pythonVersion: expect.stringMatching(/^3\.\d+\.\d+$/),
      status: 'READY',
      lastUsedAt: expect.any(String),
    });
    expect(environment.packages).toContainEqual({ name: 'mlflow', version: expect.stringMatching(/^3\./) });
    expect(environment.jobs.edges).toContainEqual({ node: { id: job.id } });
  });

  test('of packages that the base has already is the base', async () => {
    const [base, named] = await Promise.all([
      jobs.run('pass\n'),
      jobs.run('pass\n', { requirements: ['pandas', 'scikit-learn', 'numpy>=1.26'] }),
    ]);
    await expectOne(base, named);
  });

  test('that cannot be resolved fails its job, with what uv says of it in the log', async () => {
    const ended = await jobs.run('print("never")\n', { requirements: ['text-unidecode==99.0', 'pandas'] });
    expect(ended.job).toMatchObject({
      status: 'FAILED',
      environmentHash: null,
      error: expect.stringContaining('resolve'),
    });
    expect(ended.of('StatusChanged').map(({ status }) => status)).toEqual(['QUEUED', 'PREPARING', 'FAILED']);
    const said = ended
      .of('EnvironmentLine')
      .map(({ text }) => text)
      .join(' ');
    expect(said).toMatch(/No solution found/);
    expect(said).toMatch(/text-unidecode==99\.0/);
    expect(await jobs.client.logText(ended.job.id)).toContain('text-unidecode==99.0');
    expect(ended.output).toEqual([]);
    expect(ended.ending).toMatchObject({ status: 'FAILED', exitCode: null, signal: null, ...ended.proof });
  });

  test('of a requirement that does not hold on this machine is the base', async () => {
    const [base, other] = await Promise.all([
      jobs.run('pass\n'),
      jobs.run('pass\n', { requirements: ['text-unidecode ; python_version < "3"'] }),
    ]);
    expect(other.job.status).toBe('COMPLETED');
    await expectOne(base, other);
  });

  test('cannot be written to through the names that pip and uv go by', async () => {
    const ended = await jobs.run(`
import os
print(sorted(name for name in os.environ if name.startswith(("UV_", "PIP_", "CONDA_"))))
`);
    expect(ended.stdout).toEqual(['[]']);
  });
});
