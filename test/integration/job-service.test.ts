import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { claimJobs } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

let databases: DatabasesForTests;
let database: TestDatabase;
let jobs: JobService;
const ended: string[] = [];

beforeAll(async () => {
  databases = await DatabasesForTests.start();
  database = await databases.create();
  jobs = new JobService(database.client, {
    checkScript: async (script) =>
      script === SUBMISSION.script ? null : { kind: 'SyntaxError', message: 'invalid syntax', line: 1, text: 'a b' },
    observer: { ended: (status) => void ended.push(status) },
  });
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  await databases?.[Symbol.asyncDispose]();
});

test('a script with an error is refused before anything is stored', async () => {
  await expect(jobs.submit({ ...SUBMISSION, script: 'a b\n' })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: 'the job was not taken: script: SyntaxError: invalid syntax (train.py, line 1): a b',
    issues: [{ path: ['script'], type: 'syntax_error' }],
  });
  await expect(database.client.trainingJob.count()).resolves.toBe(0);
});

describe('a reason to cancel', () => {
  test.each([
    ['x'.repeat(1001), 'that is too long'],
    ['a\0b', 'with a NUL'],
    ['\u001b[31mred', 'with what drives a terminal'],
    ['half \ud83d', 'with half of a character'],
  ])('%j is refused and changes nothing', async (reason) => {
    const { id } = await jobs.submit(SUBMISSION);
    const refused = {
      code: 'INVALID_INPUT',
      issues: [{ path: ['reason'] }],
      message: expect.stringContaining('reason'),
    };
    await expect(jobs.cancel(id, reason)).rejects.toMatchObject(refused);
    await expect(jobs.get(id)).resolves.toMatchObject({
      status: 'QUEUED',
      cancelRequestedAt: null,
      cancelReason: null,
    });
  });

  test.each([
    [undefined, 'cancelled on request'],
    ['', 'cancelled on request'],
    [' \n ', 'cancelled on request'],
    [' not needed\n', 'not needed'],
    ['two\nlines\tand ✅', 'two\nlines\tand ✅'],
    ['✅'.repeat(1000), '✅'.repeat(1000)],
  ])('%j is kept without the white space around it', async (given, kept) => {
    const { id } = await jobs.submit(SUBMISSION);
    await expect(jobs.cancel(id, given)).resolves.toMatchObject({ status: 'CANCELLED', error: kept });
  });
});

test('a cancel is told once, and only when it ended the job itself', async () => {
  ended.length = 0;
  const queued = await jobs.submit(SUBMISSION);
  await Promise.all([jobs.cancel(queued.id), jobs.cancel(queued.id), jobs.cancel(queued.id)]);
  expect(ended).toEqual(['CANCELLED']);
  await database.client.trainingJob.deleteMany({ where: { status: 'QUEUED' } });
  const claimed = await jobs.submit(SUBMISSION);
  await claimJobs(database.client, workerNamed('worker'), 1);
  await expect(jobs.cancel(claimed.id)).resolves.toMatchObject({ status: 'PREPARING' });
  expect(ended).toEqual(['CANCELLED']);
});
