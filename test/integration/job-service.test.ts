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

describe('an idempotency key', () => {
  test('gives the job that was handed in with it first, whatever else is handed in, also when it has ended', async () => {
    const first = await jobs.submit({ ...SUBMISSION, idempotencyKey: 'monday' });
    const again = await jobs.submit({ ...SUBMISSION, script: 'a b\n', modelName: 'other', idempotencyKey: 'monday' });
    expect(again).toEqual(first);
    await jobs.cancel(first.id);
    const late = await jobs.submit({ ...SUBMISSION, idempotencyKey: 'monday' });
    expect(late).toMatchObject({ id: first.id, status: 'CANCELLED' });
    expect((await jobs.submit({ ...SUBMISSION, idempotencyKey: 'tuesday' })).id).not.toBe(first.id);
  });

  test('of many that hand in at once makes one job', async () => {
    const before = await database.client.trainingJob.count();
    const services = Array.from({ length: 4 }, () => new JobService(database.connect()));
    const taken = await Promise.all(
      Array.from({ length: 20 }, (_item, index) =>
        services[index % 4]?.submit({ ...SUBMISSION, priority: index, idempotencyKey: 'race' }),
      ),
    );
    expect(new Set(taken.map((job) => job?.id)).size).toBe(1);
    await expect(database.client.trainingJob.count()).resolves.toBe(before + 1);
  });
});

describe('a full queue', () => {
  test('refuses more than its limit, however many hand in at once, and takes jobs again when one has gone', async () => {
    await using fresh = await databases.create();
    const services = Array.from({ length: 4 }, () => new JobService(fresh.connect(), { maxQueued: 5 }));
    const [service] = services;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 24 }, (_item, index) =>
        services[index % 4]?.submit({ ...SUBMISSION, idempotencyKey: `key-${index}` }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'QUEUE_FULL' });
    }
    const [waiting] = await fresh.client.trainingJob.findMany();
    await expect(service?.submit({ ...SUBMISSION, idempotencyKey: waiting?.idempotencyKey ?? '' })).resolves.toEqual(
      waiting,
    );
    await claimJobs(fresh.client, workerNamed('worker'), 1);
    await expect(service?.submit(SUBMISSION)).resolves.toMatchObject({ status: 'QUEUED' });
    await expect(service?.submit(SUBMISSION)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  });

  test('is not counted for each job while it is far from full', async () => {
    await using fresh = await databases.create();
    const service = new JobService(fresh.client, { maxQueued: 1010 });
    await service.submit(SUBMISSION);
    const holder = await fresh.sql();
    // Who counts would wait for this one.
    await holder.query('SELECT pg_advisory_lock(4937001)');
    await service.submit(SUBMISSION);
    await holder.query('SELECT pg_advisory_unlock_all()');
  });
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
