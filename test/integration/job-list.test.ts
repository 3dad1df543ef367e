import { afterAll, beforeAll, expect, test } from 'vitest';
import { JobStatus } from '../../src/database/generated/client.ts';
import { JobService, type NewestJobs } from '../../src/jobs/service.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { SUBMISSION } from '../support/submission.ts';

let databases: DatabasesForTests;
let database: TestDatabase;
let jobs: JobService;
let added = 0;

beforeAll(async () => {
  databases = await DatabasesForTests.start();
  database = await databases.create();
  jobs = new JobService(database.client);
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  await databases?.[Symbol.asyncDispose]();
});

/** A job that was handed in at a second of the year 2025, to the millisecond. */
async function add(second: number, status: JobStatus = 'QUEUED'): Promise<string> {
  added += 1;
  const id = added.toString(16).padStart(16, '0');
  const createdAt = new Date(Date.UTC(2025, 0, 1, 0, 0, second));
  await database.client.trainingJob.create({ data: { id, ...SUBMISSION, status, createdAt } });
  return id;
}

async function readAll(first: number, betweenPages: () => Promise<unknown>): Promise<string[]> {
  const ids: string[] = [];
  for (let after: NewestJobs['after']; ; await betweenPages()) {
    const page = await jobs.list({ first, after });
    ids.push(...page.jobs.map(({ id }) => id));
    if (!page.hasMore) return ids;
    after = page.jobs.at(-1);
  }
}

test('pages have every job once, the newest first, also those of one moment, while others are added', async () => {
  const ids: string[] = [];
  for (const second of [1, 2, 2, 2, 2, 3, 4]) ids.push(await add(second));
  for (const first of [1, 2, 3, 7, 100]) {
    expect(await readAll(first, () => add(50)).then((read) => read.filter((id) => ids.includes(id)))).toEqual(
      ids.toReversed(),
    );
  }
});

test('only jobs of the statuses that are asked for are listed', async () => {
  for (const status of Object.values(JobStatus)) await add(100, status);
  const { jobs: ended } = await jobs.list({ first: 100, statuses: ['CANCELLED', 'LOST'] });
  expect(ended.map(({ status }) => status).toSorted()).toEqual(['CANCELLED', 'LOST']);
  expect((await jobs.list({ first: 100, statuses: [] })).jobs).toEqual([]);
});

test('a listed job is without what it was handed in with', async () => {
  const { jobs: listed } = await jobs.list({ first: 1 });
  expect(listed).toHaveLength(1);
  expect(Object.keys(listed[0] ?? {})).not.toContain('script');
});
