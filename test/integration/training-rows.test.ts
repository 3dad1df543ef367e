import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { jobReports } from '../../src/http/job-reports.ts';
import { buildHttpServer, listen } from '../../src/http/server.ts';
import { FeatureReads } from '../../src/jobs/feature-reads.ts';
import { type Claim, claimJobs } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { issueJobToken, JobTracking } from '../../src/jobs/tracking.ts';
import { trainingRowsOf } from '../../src/jobs/training-rows.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

const logger = createLogger('silent', false);
const LIMIT_BYTES = 256 * 1024;
const READ = { feature_view: 'v', features: ['f'], table: 'iceberg.gold.t', snapshot_id: '1', entity_rows: 5 };

let server: DatabasesForTests;
beforeAll(async () => {
  server = await DatabasesForTests.start();
});
afterAll(async () => server?.[Symbol.asyncDispose]());

let database: PrismaClient;
let claim: Claim;
let token: string;
let url: string;

beforeEach(async () => {
  const own: TestDatabase = await server.create();
  database = own.client;
  await new JobService(database).submit(SUBMISSION);
  const [claimed] = await claimJobs(database, workerNamed('worker'), 1);
  if (claimed === undefined) throw new Error('nothing could be claimed');
  claim = claimed;
  token = (await issueJobToken(database, claim)) ?? '';
  const gateway = await gatewayThat(true);
  return async () => {
    await gateway.close();
    await own[Symbol.asyncDispose]();
  };
});

async function gatewayThat(keepsRows: boolean): Promise<FastifyInstance> {
  const mlflow = new MlflowClient({ baseUrl: () => 'http://127.0.0.1:1' });
  const options = {
    observer: new JobTracking(database, mlflow),
    featureReads: new FeatureReads({ database, mlflow, keepsRows, logger }),
  };
  const gateway = await buildHttpServer({
    log: logger,
    routes: [async (app) => void (await app.register(jobReports, options))],
  });
  url = `http://127.0.0.1:${await listen(gateway, '127.0.0.1', 0)}`;
  return gateway;
}

/** Marked as Parquet files are. */
function file(content: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from('PAR1'), Buffer.from(content), Buffer.from('PAR1')]);
}

async function report(rows: unknown, { runId = null as string | null, as = token, view = 'v' } = {}) {
  const answer = await fetch(`${url}/api/2.0/asgard/feature-reads`, {
    method: 'POST',
    headers: { authorization: `Bearer ${as}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      reads: [{ ...READ, feature_view: view }],
      run_id: runId,
      training_rows: Buffer.isBuffer(rows) ? rows.toString('base64') : rows,
    }),
  });
  const { message } = await answer.json();
  return { status: answer.status, message };
}

/** What a version of the run finds, as text. */
async function found(runId: string | null = null): Promise<string[]> {
  const rows = await trainingRowsOf(database, { name: 'm', version: '1', runId });
  return rows.map((content) => Buffer.from(content).subarray(4, -4).toString());
}

async function registered(): Promise<void> {
  const data = { name: 'm', version: '1', jobId: claim.jobId, attemptId: claim.id };
  await database.jobModelVersion.create({ data });
}

test('rows are kept once with the attempt, and go with its job', async () => {
  await registered();
  expect(await found()).toEqual([]);
  const largest = file(Buffer.alloc(LIMIT_BYTES - 8, 'x'));
  for (const rows of [file('first'), largest, file('first'), null]) {
    expect(await report(rows)).toEqual({ status: 200, message: undefined });
  }
  expect(await found()).toEqual(['first', 'x'.repeat(LIMIT_BYTES - 8)]);
  expect(await database.jobFeatureRead.count()).toBe(1);
  await database.trainingJob.delete({ where: { id: claim.jobId } });
  expect(await database.jobTrainingRows.count()).toBe(0);
});

test.each([
  ['more than is kept', file(Buffer.alloc(LIMIT_BYTES))],
  ['no base64', 'PAR1 PAR1'],
  ['no Parquet file', Buffer.from('PAR1 something else')],
  ['nothing but the marks', Buffer.from('PAR1')],
  ['no text', [1, 2]],
])('%s is refused with the field, and nothing of the report is stored', async (_what, rows) => {
  expect(await report(rows)).toEqual({ status: 400, message: expect.stringMatching(/^training_rows: /) });
  expect([await database.jobTrainingRows.count(), await database.jobFeatureRead.count()]).toEqual([0, 0]);
});

test("rows are taken by the token of a running job's script alone", async () => {
  expect((await report(file('rows'), { as: 'asgard-job-of-nobody' })).status).toBe(401);
  await database.jobAttempt.update({ where: { id: claim.id }, data: { endedAt: new Date() } });
  expect((await report(file('rows'))).status).toBe(401);
  expect(await database.jobTrainingRows.count()).toBe(0);
});

test('of one attempt no more than eight training sets are kept, however they come', async () => {
  await registered();
  const statuses = await Promise.all(
    Array.from({ length: 20 }, async (_, number) => (await report(file(`at once ${number}`))).status),
  );
  expect(statuses).toEqual(Array(20).fill(200));
  expect((await found()).length).toBeLessThanOrEqual(8);
  for (let number = 0; number < 10; number += 1) await report(file(`in turn ${number}`));
  expect(await found()).toHaveLength(8);
});

test('rows of the run of a version come first, then those under no run, then those of other runs', async () => {
  for (const runId of ['a', 'b']) {
    const data = { jobId: claim.jobId, attemptId: claim.id, runId, experimentId: '1' };
    await database.jobRun.create({ data });
  }
  await report(file('of a'), { runId: 'a' });
  await report(file('of b'), { runId: 'b' });
  await report(file('before'));
  expect(await found('a')).toEqual(['of a', 'before', 'of b']);
  expect(await found('b')).toEqual(['of b', 'before', 'of a']);
  expect(await found('a run of nobody')).toEqual([]);
});

test('where rows are not to be kept they are dropped, and the reads are stored', async () => {
  await registered();
  const gateway = await gatewayThat(false);
  expect((await report(file('rows'))).status).toBe(200);
  await gateway.close();
  expect([await found(), await database.jobFeatureRead.count()]).toEqual([[], 1]);
});
