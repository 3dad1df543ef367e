import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { askGraphql, askRest, expectSame, trainingScript } from '../support/odd-inputs/ask.ts';
import { inputsOf } from '../support/odd-inputs/cases.ts';
import { oddRequests } from '../support/odd-inputs/fuzz.ts';
import { processesOf } from '../support/processes.ts';
import { uniqueName } from '../support/unique-name.ts';

const RUNS = 300;

const { url } = inject('platform');
const prefix = uniqueName('fuzzed');
const jobs = new JobsForTests();

beforeAll(async () => {
  const { job, said } = await jobs.run(await trainingScript(prefix), { modelName: `${prefix}_forest` });
  expect(job.status, said.join('\n')).toBe('COMPLETED');
}, JOB_LIMIT_MS);
afterAll(() => jobs[Symbol.asyncDispose]());

describe('whatever the inputs are, they are answered or refused, by REST and GraphQL alike, and no process ends', () => {
  test.each(['forest', 'pipeline'] as const)('%s', { timeout: JOB_LIMIT_MS }, async (model) => {
    const processes = () => processesOf(`ASGARD_MODEL_URI=models:/${prefix}_${model}/1\0`).map(({ pid }) => pid);
    const counts = { answered: 0, refused: 0 };
    const seed = Number(process.env['ASGARD_FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
    // Alone, so that it keeps nobody waiting: then there is one process. Another may come when requests wait.
    await askRest(url, prefix, { what: 'plain', model, inputs: inputsOf(model) });
    const before = processes();
    expect(before).toHaveLength(1);
    // A failure shows the seed, and the smallest request that fails.
    await fc.assert(
      fc.asyncProperty(oddRequests(model), async (input) => {
        const [rest, graphql] = await Promise.all([askRest(url, prefix, input), askGraphql(url, prefix, input)]);
        expectSame(rest, graphql);
        counts['predictions' in rest ? 'answered' : 'refused'] += 1;
      }),
      { seed, numRuns: RUNS },
    );
    console.log(`fuzz of ${model}: seed ${seed},`, JSON.stringify(counts));
    expect(counts.answered).toBeGreaterThan(RUNS / 10);
    expect(counts.refused).toBeGreaterThan(RUNS / 10);
    expect(processes()).toEqual(expect.arrayContaining(before));
  });
});
