import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { readEvents } from '../../src/jobs/event-store.ts';
import { type Claim, claimJobs } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { endAttempt, moveJob } from '../../src/jobs/transitions.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { Recovery } from '../../src/worker/recovery.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { CAN_BE_APART } from '../support/isolation.ts';
import { poll } from '../support/poll.ts';
import { processesWith } from '../support/processes-by-argument.ts';
import { SUBMISSION } from '../support/submission.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);
const logger = createLogger('silent', false);

let server: DatabasesForTests;
let folder: string;
let executor: LocalExecutor;
let test: TestDatabase;
let database: PrismaClient;
let jobs: JobService;

beforeAll(async () => {
  server = await DatabasesForTests.start();
  folder = await mkdtemp(join(tmpdir(), 'asgard-recovery-'));
  executor = new LocalExecutor({
    folder,
    python: toolchainPython(toolchain),
    isolation: CAN_BE_APART ? 'namespaces' : 'none',
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  test = await server.create();
  database = test.client;
  jobs = new JobService(database);
  return () => test[Symbol.asyncDispose]();
});

/** A job whose script runs, claimed by a worker of which nothing more is heard. */
async function runAbandoned(): Promise<Claim> {
  const { id } = await jobs.submit(SUBMISSION);
  const { machine, place, placeId } = executor;
  const [claim] = await claimJobs(database, { id: 'a worker that fell silent', machine, place, placeId }, 1);
  if (claim?.jobId !== id) throw new Error('another job was claimed');
  await moveJob(database, id, 'RUNNING', claim);
  const handle = { jobId: id, attempt: 1, place: folder };
  await executor.reserve(handle);
  await executor.submit(handle, {
    scriptName: `${id}.py`,
    script:
      'import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(600)\n',
    environmentFolder: join(toolchain, 'python'),
    variables: {},
    timeoutSeconds: 600,
    graceSeconds: 30,
    outputLimitBytes: 1024 * 1024,
  });
  await poll(
    () => processesWith(`${id}.py`),
    (pids) => pids.length > 0,
  );
  return claim;
}

const LOST_AFTER_SECONDS = 3600;

/** As if nothing had been heard of the workers for so long since their leases expired. */
const expire = (seconds = LOST_AFTER_SECONDS + 1) =>
  database.jobAttempt.updateMany({ data: { leaseExpiresAt: new Date(Date.now() - seconds * 1000) } });

/** As if all attempts were on a machine that cannot be seen from here. */
const moveElsewhere = () =>
  database.jobAttempt.updateMany({ data: { machine: 'another machine', placeId: 'elsewhere' } });

/** One look at the attempts, as a start makes it. */
async function sweep(ended: (status: string) => void = () => {}): Promise<void> {
  const observer = { ended };
  await using _recovery = new Recovery({ database, executor, logger, observer, lostAfterSeconds: LOST_AFTER_SECONDS });
}

describe('recovery', () => {
  it('marks a job LOST of whose machine nothing was heard for too long', async () => {
    const { jobId, id } = await runAbandoned();
    await moveElsewhere();
    await expire();
    await sweep();
    await expect(jobs.get(jobId)).resolves.toMatchObject({
      status: 'LOST',
      error: expect.stringContaining('a worker that fell silent'),
      completedAt: expect.any(Date),
    });
    await expect(database.jobAttempt.findUnique({ where: { id } })).resolves.toMatchObject({
      endedAt: expect.any(Date),
    });
    const events = await readEvents(database, jobId, 0, 100);
    expect(events.slice(-2)).toMatchObject([
      { type: 'status', status: 'LOST', attempt: 1, reason: expect.stringContaining('a worker that fell silent') },
      { type: 'end', status: 'LOST', exitCode: null },
    ]);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    await executor.forget({ jobId, attempt: 1, place: folder });
  });

  it('leaves a job of this machine to be taken over, however long nobody looked after it', async () => {
    const { jobId, id } = await runAbandoned();
    await expire(1000 * LOST_AFTER_SECONDS);
    await sweep();
    expect(await processesWith(`${jobId}.py`)).not.toEqual([]);
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'RUNNING' });
    await expect(database.jobAttempt.findUnique({ where: { id } })).resolves.toMatchObject({ endedAt: null });
    await executor.forget({ jobId, attempt: 1, place: folder });
  });

  it('leaves alone what was taken over between its look and its end', async () => {
    const { jobId, id } = await runAbandoned();
    await moveElsewhere();
    await expire();
    // Whoever returns takes it over in the moment after the look.
    const sql = await test.sql();
    await sql.query('BEGIN');
    await sql.query('SELECT FROM job_attempts WHERE id = $1 FOR UPDATE', [id]);
    const swept = sweep();
    await poll(
      () => sql.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
      ({ rowCount }) => rowCount === 1,
    );
    await sql.query("UPDATE job_attempts SET worker_id = 'returned', lease_expires_at = now() WHERE id = $1", [id]);
    await sql.query('COMMIT');
    await swept;
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'RUNNING' });
    await expect(database.jobAttempt.findUnique({ where: { id } })).resolves.toMatchObject({ endedAt: null });
    await executor.forget({ jobId, attempt: 1, place: folder });
  });

  it('leaves alone what may still be gone on with, what waits, and what has ended', async () => {
    const { jobId } = await runAbandoned();
    await moveElsewhere();
    await expire(LOST_AFTER_SECONDS - 600);
    const { id: queued } = await jobs.submit(SUBMISSION);
    const { id: ended } = await jobs.submit(SUBMISSION);
    await jobs.cancel(ended);
    await sweep();
    expect(await processesWith(`${jobId}.py`)).not.toEqual([]);
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'RUNNING' });
    await expect(jobs.get(queued)).resolves.toMatchObject({ status: 'QUEUED' });
    await expect(jobs.get(ended)).resolves.toMatchObject({ status: 'CANCELLED' });
    await executor.forget({ jobId, attempt: 1, place: folder });
  });

  it('puts a job with retries left back into the queue', async () => {
    const { jobId } = await runAbandoned();
    await moveElsewhere();
    await database.trainingJob.update({ where: { id: jobId }, data: { retries: 1 } });
    await expire();
    const told: string[] = [];
    await sweep((status) => void told.push(status));
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'QUEUED', notBefore: expect.any(Date) });
    await expect(database.jobAttempt.findMany()).resolves.toMatchObject([{ number: 1, status: 'LOST' }]);
    expect(told).toEqual([]);
    await executor.forget({ jobId, attempt: 1, place: folder });
  });

  it('by two platforms at once ends the job once, and one of them tells of it', async () => {
    const { jobId } = await runAbandoned();
    await moveElsewhere();
    await expire();
    const told: string[] = [];
    const tell = (status: string) => void told.push(status);
    await Promise.all([sweep(tell), sweep(tell), sweep(tell)]);
    expect(told).toEqual(['LOST']);
    const events = await readEvents(database, jobId, 0, 100);
    expect(events.filter(({ type }) => type === 'end')).toHaveLength(1);
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'LOST' });
    await executor.forget({ jobId, attempt: 1, place: folder });
  });

  it('ends and removes what is left here of a job that was given up while this machine was away', async () => {
    const { jobId, id } = await runAbandoned();
    await endAttempt(database, jobId, { id, number: 1 }, { status: 'LOST', error: 'given up elsewhere' });
    await sweep();
    expect(await processesWith(`${jobId}.py`)).toEqual([]);
    await expect(stat(join(folder, jobId))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('closes an attempt whose job has ended by other means, and does not meet it again', async () => {
    const { jobId, id } = await runAbandoned();
    // What no code does, but a hand in the database may.
    await database.trainingJob.update({ where: { id: jobId }, data: { status: 'FAILED', completedAt: new Date() } });
    await expire();
    await sweep();
    expect(await processesWith(`${jobId}.py`)).toEqual([]);
    await expect(jobs.get(jobId)).resolves.toMatchObject({ status: 'FAILED' });
    await expect(database.jobAttempt.findUnique({ where: { id } })).resolves.toMatchObject({
      endedAt: expect.any(Date),
    });
  });
});
