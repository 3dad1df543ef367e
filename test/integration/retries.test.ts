import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { appendEvents, readEvents } from '../../src/jobs/event-store.ts';
import type { JobEvent } from '../../src/jobs/events.ts';
import { type Claim, claimJobs, endPauses } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { endAttempt, type JobEnd, moveJob } from '../../src/jobs/transitions.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

const WORKER = workerNamed('worker');
const LOST: JobEnd = { status: 'LOST', error: 'its machine burned', isInfrastructure: true };
const PROOF = { exitCode: 3, signal: null, lines: 1, bytes: 6, sha256: 'abc' } as const;

let server: DatabasesForTests;
let test: TestDatabase;
let database: PrismaClient;
let jobs: JobService;

beforeAll(async () => {
  server = await DatabasesForTests.start();
});
afterAll(() => server?.[Symbol.asyncDispose]());
beforeEach(async () => {
  test = await server.create();
  database = test.client;
  jobs = new JobService(database);
  return () => test[Symbol.asyncDispose]();
});

const log = (text: string): JobEvent => ({ type: 'log', at: new Date().toISOString(), stream: 'stdout', text });

async function claimOne(): Promise<Claim> {
  const [claim] = await claimJobs(database, WORKER, 1);
  if (claim === undefined) throw new Error('nothing could be claimed');
  return claim;
}

/** A job that runs in its first attempt. */
async function run(changes: Partial<typeof SUBMISSION> = {}): Promise<Claim> {
  await jobs.submit({ ...SUBMISSION, retries: 2, ...changes });
  const claim = await claimOne();
  await moveJob(database, claim.jobId, 'RUNNING', claim);
  return claim;
}

const endPause = () => database.trainingJob.updateMany({ data: { notBefore: new Date(0) } });

describe('an attempt that ends with retries left', () => {
  it('puts its job back into the queue at once, to be claimed after a pause and not before', async () => {
    const { jobId } = await run();
    expect(await endPauses(database)).toBeNull();
    const [first] = await database.jobAttempt.findMany();
    if (first === undefined) throw new Error('there is no attempt');
    expect(await endAttempt(database, jobId, first, LOST)).toBe('retried');
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'QUEUED', error: null, completedAt: null });
    const { notBefore } = await jobs.get(jobId);
    const { endedAt } = await database.jobAttempt.findUniqueOrThrow({ where: { id: first.id } });
    const pauseMs = (notBefore?.getTime() ?? 0) - (endedAt?.getTime() ?? 0);
    expect(pauseMs).toBeGreaterThan(500);
    expect(pauseMs).toBeLessThan(2010);
    const anHour = new Date(Date.now() + 3_600_000);
    await database.trainingJob.updateMany({ data: { notBefore: anHour } });
    expect(await endPauses(database)).toBeGreaterThan(3000);
    expect(await claimJobs(database, WORKER, 1)).toEqual([]);
    await endPause();
    expect(await endPauses(database)).toBeNull();
    expect(await claimJobs(database, WORKER, 1)).toMatchObject([{ jobId, number: 2, isTakenOver: false }]);
  });

  it('keeps its own end and its own range of the events, which prove its output', async () => {
    const claim = await run({ retryOn: 'ANY' });
    const { jobId } = claim;
    await appendEvents(database, jobId, [log('first')], claim);
    const usage = { maxRssBytes: 5_000_000_000, cpuSeconds: 1.5 };
    const end = { status: 'FAILED', error: 'exit code 3', script: PROOF, usage, lastLines: ['a pity'] } as const;
    expect(await endAttempt(database, jobId, claim, end)).toBe('retried');
    await endPause();
    await endPauses(database);
    const second = await claimOne();
    await moveJob(database, jobId, 'RUNNING', second);
    await appendEvents(database, jobId, [log('second')], second);
    expect(await appendEvents(database, jobId, [log('late')], claim)).toBe(false);
    expect(await endAttempt(database, jobId, claim, LOST)).toBeNull();
    expect(await endAttempt(database, jobId, second, { status: 'COMPLETED', script: { ...PROOF, exitCode: 0 } })).toBe(
      'ended',
    );

    const events = await readEvents(database, jobId, 0, 100);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_event, index) => index + 1));
    expect(events).toMatchObject([
      { type: 'status', status: 'QUEUED', attempt: 0 },
      { type: 'status', status: 'PREPARING', attempt: 1 },
      { type: 'status', status: 'RUNNING', attempt: 1 },
      { type: 'log', text: 'first' },
      { type: 'log', stream: 'platform', text: 'a pity' },
      {
        type: 'log',
        stream: 'platform',
        text: expect.stringMatching(/^Attempt 1 of at most 3 ended: FAILED: exit code 3/),
      },
      { type: 'attempt', attempt: 1, status: 'FAILED', error: 'exit code 3', ...PROOF },
      { type: 'status', status: 'QUEUED', attempt: 1, reason: 'exit code 3' },
      { type: 'status', status: 'PREPARING', attempt: 2 },
      { type: 'status', status: 'RUNNING', attempt: 2 },
      { type: 'log', text: 'second' },
      { type: 'status', status: 'COMPLETED', attempt: 2 },
      { type: 'end', status: 'COMPLETED', ...PROOF, exitCode: 0 },
    ]);
    const attempts = await database.jobAttempt.findMany({ orderBy: { number: 'asc' } });
    expect(attempts).toMatchObject([
      { number: 1, status: 'FAILED', error: 'exit code 3', exitCode: 3, firstSequence: 2, lastSequence: 8 },
      { number: 2, status: 'COMPLETED', error: null, exitCode: 0, firstSequence: 9, lastSequence: 13 },
    ]);
    expect(attempts[0]).toMatchObject({ maxRssBytes: 5_000_000_000n, cpuSeconds: 1.5, endedAt: expect.any(Date) });
  });

  it('ends its job when it is the last one', async () => {
    const { jobId } = await run({ retries: 1 });
    for (const wanted of ['retried', 'ended']) {
      const attempt = await database.jobAttempt.findFirstOrThrow({ orderBy: { number: 'desc' } });
      expect(await endAttempt(database, jobId, attempt, LOST)).toBe(wanted);
      await endPause();
      await endPauses(database);
      await claimJobs(database, WORKER, 1);
    }
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'LOST', error: 'its machine burned' });
  });

  it('ends its job when a cancel was asked for meanwhile', async () => {
    const claim = await run();
    await jobs.cancel(claim.jobId);
    expect(await endAttempt(database, claim.jobId, claim, LOST)).toBe('ended');
    await expect(jobs.get(claim.jobId)).resolves.toMatchObject({ status: 'LOST' });
  });
});

describe('a cancel', () => {
  it('of a job that waits for its next attempt is done when it is answered', async () => {
    const claim = await run();
    await endAttempt(database, claim.jobId, claim, LOST);
    await expect(jobs.cancel(claim.jobId, 'enough')).resolves.toMatchObject({ status: 'CANCELLED', error: 'enough' });
    const events = await readEvents(database, claim.jobId, 0, 100);
    expect(events.slice(-2)).toMatchObject([
      { type: 'status', status: 'CANCELLED', attempt: 1 },
      { type: 'end', status: 'CANCELLED', lines: 0 },
    ]);
    expect(await endPauses(database)).toBeNull();
    expect(await claimJobs(database, WORKER, 1)).toEqual([]);
  });

  it('that races with the end of an attempt leaves no job in the queue', async () => {
    for (let round = 0; round < 10; round += 1) {
      const claim = await run();
      const { jobId } = claim;
      const cancelling = jobs.cancel(jobId).catch((error: unknown) => error);
      await Promise.all([cancelling, endAttempt(test.connect(1), jobId, claim, LOST)]);
      const { status } = await jobs.get(jobId);
      expect(['CANCELLED', 'LOST']).toContain(status);
    }
  });
});
