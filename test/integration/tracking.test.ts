import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { JobCallNotes } from '../../src/jobs/call-notes.ts';
import { appendEvents, readEvents } from '../../src/jobs/event-store.ts';
import { type Claim, claimJobs } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { JobTracking } from '../../src/jobs/tracking.ts';
import { endAttempt } from '../../src/jobs/transitions.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import type { JobIdentity } from '../../src/mlflow/job-identity.ts';
import type { LoggedMetric } from '../../src/mlflow/observation.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

let server: DatabasesForTests;
let test: TestDatabase;
let database: PrismaClient;
let claim: Claim;
let identity: JobIdentity;

beforeAll(async () => {
  server = await DatabasesForTests.start();
});
afterAll(async () => server?.[Symbol.asyncDispose]());

beforeEach(async () => {
  test = await server.create();
  database = test.client;
  await new JobService(database).submit(SUBMISSION);
  const [claimed] = await claimJobs(database, workerNamed('worker'), 1);
  if (claimed === undefined) throw new Error('nothing could be claimed');
  claim = claimed;
  identity = { jobId: claim.jobId, attemptId: claim.id };
  return () => test[Symbol.asyncDispose]();
});

describe('what a script did, told again', () => {
  const mlflow = new MlflowClient({ baseUrl: () => 'http://127.0.0.1:1' });
  const metric = (step: number, value: LoggedMetric['value'] = step): LoggedMetric => {
    return { runId: 'r', key: 'm', value, step, timestampMs: 1_700_000_000_000 + step };
  };
  /** As the platform that starts next is: it knows what is stored. */
  const newTracking = (client = database) => new JobTracking(client, mlflow);
  const tell = (tracking: JobTracking, ...metrics: LoggedMetric[]) =>
    tracking.record(identity, { type: 'metrics', metrics });
  const stored = async () => {
    const events = await readEvents(database, identity.jobId, 0, 1_000);
    return events.flatMap((event) => (event.type === 'metric' ? [[event.step, event.value]] : []));
  };

  it('adds no value twice: in one call, in calls at once, after a restart', async () => {
    const tracking = newTracking();
    await tell(tracking, metric(0), metric(0), metric(1, 'NaN'));
    await Promise.all([tell(tracking, metric(2)), tell(tracking, metric(2), metric(3)), tell(tracking, metric(3))]);
    await tell(newTracking(), metric(1, 'NaN'), metric(3), metric(4, 0.1));
    await tell(newTracking(), metric(4, 0.1), metric(4, 0.2));
    expect(await stored()).toEqual([
      [0, 0],
      [1, 'NaN'],
      [2, 2],
      [3, 3],
      [4, 0.1],
      [4, 0.2],
    ]);
  });

  it('finds the values among very many lines', async () => {
    const text = 'x'.repeat(100);
    const at = new Date().toISOString();
    await tell(newTracking(), metric(0), metric(1));
    const lines = Array.from({ length: 10_000 }, () => ({ type: 'log', at, stream: 'stdout', text }) as const);
    await appendEvents(database, identity.jobId, lines);
    await tell(newTracking(), metric(0), metric(1), metric(2));
    const events = await readEvents(database, identity.jobId, 10_000, 1_000);
    expect(events.filter(({ type }) => type === 'metric')).toMatchObject([{ step: 2 }]);
  });

  it('adds no value twice when the database did not tell whether it has them', async () => {
    let isAnswerLost = true;
    // What a connection that breaks after the commit looks like.
    const losing = new Proxy(database, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name);
        if (typeof found !== 'function') return found;
        return async (...args: unknown[]) => {
          const result: unknown = await found.apply(target, args);
          const isAppend = JSON.stringify(args[0]).includes('INSERT INTO job_events');
          if (!isAppend || !isAnswerLost) return result;
          isAnswerLost = false;
          throw new Error('the connection is lost');
        };
      },
    });
    const tracking = newTracking(losing);
    await expect(tell(tracking, metric(0), metric(1))).rejects.toThrow('the connection is lost');
    await tell(tracking, metric(0), metric(1), metric(2));
    expect(await stored()).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
    ]);
  });

  it('adds no second event for a version, and no second row for a run or a model', async () => {
    for (const tracking of [newTracking(), newTracking()]) {
      await tracking.record(identity, { type: 'model-saved', source: 'models:/m-1', path: 'model', runId: 'r' });
      await tracking.record(identity, { type: 'version', name: 'n', version: '1', runId: 'r', source: 'models:/m-1' });
      await tracking.record(identity, { type: 'run', runId: 'r', experimentId: '0' });
    }
    const events = await readEvents(database, identity.jobId, 0, 1_000);
    expect(events.filter(({ type }) => type === 'registration')).toHaveLength(1);
    expect(await database.jobSavedModel.count()).toBe(1);
    expect(await database.jobRun.count()).toBe(1);
  });
});

describe('notes of calls', () => {
  const digest = randomBytes(32);

  it('are found by the next platform, each once, and never by the one that made them', async () => {
    const notes = new JobCallNotes(database);
    const made = [await notes.begin(identity, digest), await notes.begin(identity, digest)];
    const other = await notes.begin(identity, randomBytes(32));
    expect([...made, other].every(({ isRepeat }) => !isRepeat)).toBe(true);
    const next = new JobCallNotes(test.connect());
    const found = await Promise.all(Array.from({ length: 3 }, () => next.begin(identity, digest)));
    const repeats = found.filter(({ isRepeat }) => isRepeat);
    const names = (list: typeof made) => list.map(({ id, mark }) => `${id} ${mark}`).toSorted();
    expect(names(repeats)).toEqual(names(made));
    expect(new Set(found.map(({ mark }) => mark)).size).toBe(3);
  });

  it('go when the call has ended, also when the database was away just then', async () => {
    let isAway = true;
    const failing = new Proxy(database, {
      get: (target, name) => {
        if (name === '$executeRaw' && isAway) return () => Promise.reject(new Error('away'));
        const found: unknown = Reflect.get(target, name);
        return typeof found === 'function' ? found.bind(target) : found;
      },
    });
    const notes = new JobCallNotes(failing);
    const [first, second] = [await notes.begin(identity, digest), await notes.begin(identity, randomBytes(32))];
    await expect(notes.end(first.id)).rejects.toThrow('away');
    isAway = false;
    await notes.end(second.id);
    expect(await database.jobCallNote.count()).toBe(0);
  });

  it('go with the attempt, after which none is made', async () => {
    const notes = new JobCallNotes(database);
    await notes.begin(identity, digest);
    await endAttempt(database, claim.jobId, claim, { status: 'FAILED', error: 'no' });
    expect(await database.jobCallNote.count()).toBe(0);
    await expect(notes.begin(identity, digest)).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});
