import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { appendEvents, readEvents } from '../../src/jobs/event-store.ts';
import { appendOutput, type OutputLine } from '../../src/jobs/output-store.ts';
import { type Claim, claimJobs, renewLease, silentAttempts, takeOverAttempts } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { issueJobToken, JobTracking } from '../../src/jobs/tracking.ts';
import { endAttempt, endQueuedJob, moveJob } from '../../src/jobs/transitions.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { poll } from '../support/poll.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

let server: DatabasesForTests;
let test: TestDatabase;
let database: PrismaClient;
let jobs: JobService;

beforeAll(async () => {
  server = await DatabasesForTests.start();
});
afterAll(async () => server?.[Symbol.asyncDispose]());

beforeEach(async () => {
  test = await server.create();
  database = test.client;
  jobs = new JobService(database);
  return () => test[Symbol.asyncDispose]();
});

const log = (text: string): OutputLine => ({ type: 'log', at: new Date().toISOString(), stream: 'stdout', text });

const WORKER = workerNamed('worker');

async function claimOne(): Promise<Claim> {
  const [claim] = await claimJobs(database, WORKER, 1);
  if (claim === undefined) throw new Error('nothing could be claimed');
  return claim;
}

async function submitMany(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) ids.push((await jobs.submit(SUBMISSION)).id);
  return ids;
}

/** Resolves when so many statements in the test's database wait for a lock. */
async function waitingFor(count: number): Promise<void> {
  const watcher = await test.sql();
  const query = `SELECT count(*)::int AS waiting FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  await poll(
    async () => (await watcher.query<{ waiting: number }>(query)).rows[0]?.waiting,
    (waiting) => waiting === count,
  );
}

describe('claimJobs', () => {
  it('never gives a job to two workers, however many race for it, and leaves none behind', async () => {
    const ids = await submitMany(60);
    const clients = [test.connect(), test.connect()];
    const claims: Claim[] = [];
    await Promise.all(
      clients.flatMap((client, worker) =>
        Array.from({ length: 4 }, async (_, thread) => {
          const workerId = `${worker}:${thread}`;
          // Some rounds may find all remaining rows locked: that is no sign that the queue is empty.
          while ((await database.trainingJob.count({ where: { status: 'QUEUED' } })) > 0) {
            for (const claim of await claimJobs(client, workerNamed(workerId), 3)) claims.push(claim);
          }
        }),
      ),
    );
    expect(claims.map(({ jobId }) => jobId).toSorted()).toEqual(ids.toSorted());
    expect(new Set(claims.map(({ id }) => id)).size).toBe(ids.length);
    const attempts = await database.jobAttempt.findMany();
    expect(attempts.map(({ jobId, workerId, number }) => `${jobId} ${workerId} ${number}`).toSorted()).toEqual(
      claims.map(({ jobId, workerId }) => `${jobId} ${workerId} 1`).toSorted(),
    );
  });

  it('passes over a job that another worker is claiming, without waiting for it', async () => {
    const [first, second] = await submitMany(2);
    const other = await test.sql();
    await other.query('BEGIN');
    await other.query('SELECT id FROM training_jobs WHERE id = $1 FOR UPDATE', [first]);
    const claims = await claimJobs(database, WORKER, 10);
    expect(claims.map(({ jobId }) => jobId)).toEqual([second]);
    await other.query('ROLLBACK');
    expect((await claimOne()).jobId).toBe(first);
  });

  it('takes the oldest jobs first, no more than asked for, each with its event', async () => {
    const ids = await submitMany(3);
    const [first, second] = await claimJobs(database, WORKER, 2);
    expect([first?.jobId, second?.jobId].toSorted()).toEqual(ids.slice(0, 2).toSorted());
    expect(first?.queuedSeconds).toBeGreaterThanOrEqual(0);
    expect(await jobs.counts()).toEqual({ queued: 1, running: 2 });
    const events = await readEvents(database, ids[0] ?? '', 0, 10);
    expect(events).toMatchObject([
      { sequence: 1, type: 'status', status: 'QUEUED', attempt: 0 },
      { sequence: 2, type: 'status', status: 'PREPARING', attempt: 1 },
    ]);
    await expect(jobs.get(ids[0] ?? '')).resolves.toMatchObject({ status: 'PREPARING', startedAt: expect.any(Date) });
  });

  it('takes jobs of a higher priority first, and finds them by the index of the queue among 100,000 ended ones', async () => {
    const sql = await test.sql();
    await sql.query(`INSERT INTO training_jobs (id, script_name, script, experiment_name, model_name, environment_vars,
      timeout_seconds, tags, status) SELECT 'ended' || n, '', '', '', '', '{}', 60, '{}', 'COMPLETED'
      FROM generate_series(1, 100000) AS n`);
    await sql.query('ANALYZE training_jobs');
    const ids: string[] = [];
    for (const priority of [0, -1, 5, 0, 5]) ids.push((await jobs.submit({ ...SUBMISSION, priority })).id);
    const order: string[] = [];
    for (let index = 0; index < ids.length; index += 1) order.push((await claimOne()).jobId);
    expect(order).toEqual([2, 4, 0, 3, 1].map((index) => ids[index]));
    const { rows } = await sql.query<{
      'QUERY PLAN': string;
    }>(`EXPLAIN SELECT id FROM training_jobs WHERE status = 'QUEUED'
      AND not_before IS NULL ORDER BY priority DESC, created_at, id LIMIT 4 FOR UPDATE SKIP LOCKED`);
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toMatch(/Index Scan using training_jobs_queue_idx/);
  });

  it('does not take a job that was cancelled', async () => {
    const [id = ''] = await submitMany(1);
    await jobs.cancel(id);
    expect(await claimJobs(database, WORKER, 1)).toEqual([]);
  });

  it('and a cancel that race for a queued job leave it either claimed or cancelled', async () => {
    for (let round = 0; round < 10; round += 1) {
      const [id = ''] = await submitMany(1);
      const [claims] = await Promise.all([claimJobs(test.connect(1), WORKER, 1), jobs.cancel(id)]);
      const job = await jobs.get(id);
      // The worker of a claimed one ends it: it finds the request when it begins.
      expect(job).toMatchObject({
        status: claims.length === 1 ? 'PREPARING' : 'CANCELLED',
        cancelRequestedAt: expect.any(Date),
      });
    }
  });

  it('keeps its job from being ended as a queued one, also by a cancel that had begun before', async () => {
    const [id = ''] = await submitMany(1);
    const claiming = await test.sql();
    await claiming.query('BEGIN');
    await claiming.query(`UPDATE training_jobs SET status = 'PREPARING' WHERE id = $1`, [id]);
    await claiming.query(
      `INSERT INTO job_attempts (job_id, number, worker_id, lease_expires_at) VALUES ($1, 1, 'worker', now() + '30 s')`,
      [id],
    );
    const ending = endQueuedJob(test.connect(1), id, { status: 'CANCELLED', error: 'too late' });
    await waitingFor(1);
    await claiming.query('COMMIT');
    expect(await ending).toBe(false);
    await expect(jobs.get(id)).resolves.toMatchObject({ status: 'PREPARING' });
  });
});

describe('an attempt that has ended', () => {
  let claim: Claim;
  beforeEach(async () => {
    await submitMany(1);
    claim = await claimOne();
    await moveJob(database, claim.jobId, 'RUNNING', claim);
    await endAttempt(database, claim.jobId, claim, { status: 'LOST', error: 'the worker fell silent' });
  });

  it('cannot append, move, end, or renew', async () => {
    const before = await readEvents(database, claim.jobId, 0, 100);
    expect(await appendEvents(database, claim.jobId, [log('late')], claim)).toBe(false);
    expect(await moveJob(database, claim.jobId, 'RUNNING', claim)).toBe(false);
    expect(await endAttempt(database, claim.jobId, claim, { status: 'COMPLETED' })).toBeNull();
    expect(await renewLease(database, claim)).toBeNull();
    expect(await readEvents(database, claim.jobId, 0, 100)).toEqual(before);
    await expect(jobs.get(claim.jobId)).resolves.toMatchObject({ status: 'LOST', error: 'the worker fell silent' });
  });

  it('has a token that is good no more', async () => {
    const [id = ''] = await submitMany(1);
    const next = await claimOne();
    const token = (await issueJobToken(database, next)) ?? '';
    expect(await issueJobToken(database, { ...next, workerId: 'late' })).toBeNull();
    const tracking = new JobTracking(database, new MlflowClient({ baseUrl: () => 'http://127.0.0.1:1' }));
    expect(await tracking.authenticate(token)).toEqual({ jobId: id, attemptId: next.id, hasNoArtifacts: false });
    await endAttempt(database, id, next, { status: 'FAILED', error: 'no' });
    expect(await tracking.authenticate(token)).toBeNull();
  });

  it('adds nothing to the next attempt of its job', async () => {
    const [id = ''] = await submitMany(1);
    const first = await claimOne();
    await database.trainingJob.update({ where: { id }, data: { retries: 1 } });
    await endAttempt(database, id, first, { status: 'LOST', isInfrastructure: true });
    await database.trainingJob.update({ where: { id }, data: { notBefore: null } });
    const second = await claimOne();
    expect(second).toMatchObject({ jobId: id, number: 2 });
    expect(await appendEvents(database, id, [log('late')], first)).toBe(false);
    expect(await endAttempt(database, id, first, { status: 'FAILED' })).toBeNull();
    expect(await appendEvents(database, id, [log('mine')], second)).toBe(true);
    expect(await endAttempt(database, id, second, { status: 'FAILED' })).toBe('ended');
  });

  it('adds nothing behind the end, also when its write had begun before', async () => {
    const [id = ''] = await submitMany(1);
    const own = await claimOne();
    await moveJob(database, id, 'RUNNING', own);
    const holder = await test.sql();
    await holder.query('BEGIN');
    await holder.query('SELECT id FROM training_jobs WHERE id = $1 FOR UPDATE', [id]);
    // Both wait for the row that the holder has, the end first.
    const ending = endAttempt(test.connect(1), id, own, { status: 'COMPLETED' });
    await waitingFor(1);
    const late = appendEvents(test.connect(1), id, [log('late')], own);
    await waitingFor(2);
    await holder.query('COMMIT');
    expect(await ending).toBe('ended');
    expect(await late).toBe(false);
    const events = await readEvents(database, id, 0, 100);
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'COMPLETED' });
  });
});

describe('a terminal status', () => {
  const TERMINAL = ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST'] as const;

  it.each(TERMINAL)('%s is written once: the database itself refuses another', async (status) => {
    const [id = ''] = await submitMany(1);
    const claim = await claimOne();
    await moveJob(database, id, 'RUNNING', claim);
    expect(await endAttempt(database, id, claim, { status })).toBe('ended');
    const sql = await test.sql();
    for (const other of ['QUEUED', 'PREPARING', 'RUNNING', ...TERMINAL.filter((each) => each !== status)]) {
      await expect(
        sql.query('UPDATE training_jobs SET status = $2::"JobStatus" WHERE id = $1', [id, other]),
      ).rejects.toMatchObject({ code: '23514', constraint: 'training_jobs_terminal_status' });
    }
    await expect(jobs.get(id)).resolves.toMatchObject({ status });
  });

  it('is reached by one of many that race for it', async () => {
    const [id = ''] = await submitMany(1);
    const claim = await claimOne();
    await moveJob(database, id, 'RUNNING', claim);
    const ends = await Promise.all(
      TERMINAL.map((status) => endAttempt(database, id, claim, { status, error: status })),
    );
    expect(ends.filter((end) => end === 'ended')).toHaveLength(1);
    const winner = TERMINAL[ends.indexOf('ended')];
    await expect(jobs.get(id)).resolves.toMatchObject({ status: winner, error: winner });
    const events = await readEvents(database, id, 0, 100);
    expect(events.filter(({ type }) => type === 'end')).toMatchObject([{ status: winner }]);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  });
});

describe('a lease', () => {
  const expire = () => database.jobAttempt.updateMany({ data: { leaseExpiresAt: new Date(Date.now() - 1000) } });

  it('that was not renewed in time can be taken back by renewing it', async () => {
    await submitMany(1);
    const claim = await claimOne();
    await expire();
    expect(await renewLease(database, claim)).toEqual({ cancelReason: null });
    expect(await takeOverAttempts(database, workerNamed('other'), [])).toEqual([]);
  });

  it('that has expired is taken over by one of many workers that race for it, and the late one can do nothing', async () => {
    const ids = await submitMany(20);
    const late = await claimJobs(database, WORKER, 20);
    for (const claim of late) await moveJob(database, claim.jobId, 'RUNNING', claim);
    expect(await takeOverAttempts(database, workerNamed('too early'), [])).toEqual([]);
    await expire();
    const clients = [test.connect(), test.connect(), test.connect(), test.connect()];
    const taken = await Promise.all(
      clients.map((client, index) => takeOverAttempts(client, workerNamed(`other ${index}`), [])),
    );
    expect(
      taken
        .flat()
        .map(({ jobId }) => jobId)
        .toSorted(),
    ).toEqual(ids.toSorted());
    for (const claim of late) {
      expect(await appendEvents(database, claim.jobId, [log('late')], claim)).toBe(false);
      expect(await appendOutput(database, claim, [log('late')], 1024)).toBe(false);
      expect(await renewLease(database, claim)).toBeNull();
      expect(await endAttempt(database, claim.jobId, claim, { status: 'COMPLETED' })).toBeNull();
    }
    const [first] = taken.flat();
    if (first === undefined) throw new Error('nothing was taken over');
    // Its run stays where it is.
    expect(first).toMatchObject({ number: 1, place: WORKER.place, isTakenOver: true });
    expect(await appendOutput(database, first, [log('mine')], 1024)).toBe(true);
    expect(await endAttempt(database, first.jobId, first, { status: 'COMPLETED' })).toBe('ended');
  });

  it('of a run that may have been started is for workers of its machine alone', async () => {
    await submitMany(2);
    const [running, preparing] = await claimJobs(database, WORKER, 2);
    if (running === undefined || preparing === undefined) throw new Error('too little was claimed');
    await moveJob(database, running.jobId, 'RUNNING', running);
    await expire();
    const elsewhere = workerNamed('elsewhere', { machine: 'another machine' });
    expect(await takeOverAttempts(database, elsewhere, [], false)).toEqual([]);
    const taken = await takeOverAttempts(database, elsewhere, []);
    expect(taken).toMatchObject([{ jobId: preparing.jobId, place: elsewhere.place }]);
    const here = workerNamed('here');
    expect(await takeOverAttempts(database, here, [])).toMatchObject([{ jobId: running.jobId, place: WORKER.place }]);
  });

  it('of an earlier worker in the same place is not waited for', async () => {
    await submitMany(1);
    const before = await claimOne();
    const next = workerNamed('next', { place: WORKER.place });
    expect(await takeOverAttempts(database, next, [before.jobId])).toEqual([]);
    expect(await takeOverAttempts(database, next, [])).toMatchObject([{ id: before.id, workerId: 'next' }]);
  });

  it('of a run in the own data folder is for its worker, whatever the machine and the path are called by then', async () => {
    await submitMany(1);
    const before = await claimOne();
    await moveJob(database, before.jobId, 'RUNNING', before);
    const here = workerNamed('here', { machine: 'renamed', place: '/moved', placeId: WORKER.placeId });
    // It may be a copy of the folder, beside which the first one is in use.
    expect(await takeOverAttempts(database, here, [])).toEqual([]);
    await expire();
    expect(await silentAttempts(database, 0, here)).toEqual([]);
    expect(await takeOverAttempts(database, here, [])).toMatchObject([{ jobId: before.jobId, place: '/moved' }]);
    const next = { ...here, id: 'next' };
    expect(await takeOverAttempts(database, next, [])).toMatchObject([{ jobId: before.jobId, workerId: 'next' }]);
  });

  it('of a machine with the same name and the same path to another data folder is left alone as long as it lasts', async () => {
    await submitMany(1);
    const before = await claimOne();
    await moveJob(database, before.jobId, 'RUNNING', before);
    const twin = workerNamed('twin', { place: WORKER.place, placeId: 'of another folder' });
    expect(await takeOverAttempts(database, twin, [])).toEqual([]);
  });

  it('of an attempt from before places had ids is known by the path', async () => {
    await submitMany(1);
    const before = await claimOne();
    await moveJob(database, before.jobId, 'RUNNING', before);
    await database.jobAttempt.updateMany({ data: { placeId: '' } });
    await expire();
    const here = workerNamed('here', { machine: 'renamed', place: WORKER.place, placeId: 'new' });
    expect(await takeOverAttempts(database, here, [])).toMatchObject([{ jobId: before.jobId }]);
    await expect(database.jobAttempt.findFirst()).resolves.toMatchObject({ machine: 'renamed', placeId: 'new' });
  });

  it('that has been over for a long time shows its attempt as silent to other machines', async () => {
    await submitMany(1);
    const { id, jobId } = await claimOne();
    await database.jobAttempt.updateMany({ data: { leaseExpiresAt: new Date(Date.now() - 120_000) } });
    const other = workerNamed('other', { machine: 'another machine' });
    expect(await silentAttempts(database, 150, other)).toEqual([]);
    expect(await silentAttempts(database, 100, WORKER)).toEqual([]);
    expect(await silentAttempts(database, 100, other)).toMatchObject([{ id, jobId, number: 1, workerId: 'worker' }]);
  });
});
