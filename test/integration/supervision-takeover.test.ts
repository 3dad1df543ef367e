import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { takeOverAttempts } from '../../src/jobs/queue.ts';
import { moveJob } from '../../src/jobs/transitions.ts';
import { Recovery } from '../../src/worker/recovery.ts';
import { outputTexts } from '../support/output.ts';
import { poll } from '../support/poll.ts';
import {
  STUBBORN,
  SUPERVISION_LIMIT_MS,
  type Supervised,
  type SupervisedJobs,
  statusesOf,
  superviseEachTest,
} from '../support/supervised-jobs.ts';
import { uniqueName } from '../support/unique-name.ts';

let own: SupervisedJobs;
superviseEachTest((jobs) => {
  own = jobs;
});

/** Counts until it has the file `enough`, however long that takes. */
const COUNTER = `import os, time
count = 0
while not os.path.exists("enough"):
    print(count, flush=True)
    count += 1
    time.sleep(0.01)
`;
/** Counts to 2, and then waits for the file `go`. */
const WAITING = `import os, time
for count in range(3):
    print(count, flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
print("last", flush=True)
`;
const numbers = (count: number) => Array.from({ length: count }, (_item, index) => String(index));

/** Lets the supervision go, as a shutdown does. */
async function release({ tell, ended }: Supervised): Promise<void> {
  tell({ type: 'release' });
  await ended;
}

describe('an attempt that is taken over', { timeout: SUPERVISION_LIMIT_MS }, () => {
  it('goes on with the script that runs: every line is stored once, and it ends as it would have', async () => {
    let current = await own.supervise(COUNTER);
    const { id } = current;
    for (const hands of numbers(4)) {
      await own.printed(id, hands);
      await release(current);
      current = own.goOn(await own.takeOver(`worker ${hands}`));
    }
    await own.give(id, 'enough');
    const { job, events } = await current.ended;
    expect(job).toMatchObject({ status: 'COMPLETED' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED']);
    const texts = outputTexts(events);
    expect(texts).toEqual(numbers(texts.length));
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'COMPLETED', exitCode: 0, lines: texts.length });
    expect(await readdir(own.folder)).toEqual([]);
  });

  it('after its script has ended is ended with what the script left', async () => {
    const first = await own.supervise(`${WAITING}raise SystemExit(7)\n`);
    await own.printed(first.id, '2');
    await release(first);
    await own.give(first.id, 'go');
    await own.gone(first.id);
    const { job, events } = await own.goOn(await own.takeOver()).ended;
    expect(job).toMatchObject({ status: 'FAILED', error: 'the script ended with exit code 7' });
    expect(outputTexts(events)).toEqual([...numbers(3), 'last']);
    expect(events.at(-1)).toMatchObject({ type: 'end', exitCode: 7, lines: 4 });
  });

  it.each([
    ['has ended well', '', 'COMPLETED'],
    ['still runs', 'time.sleep(600)\n', 'RUNNING'],
  ] as const)(
    'whose script %s after a downtime longer than machines may be silent is gone on with',
    async (_how, code, status) => {
      const first = await own.supervise(`${WAITING}${code}`);
      await own.printed(first.id, '2');
      await release(first);
      await own.give(first.id, 'go');
      const sign = status === 'RUNNING' ? 'last' : '"exit"';
      await poll(
        () => readFile(join(own.folder, first.id, '1', 'spool'), 'utf8'),
        (text) => text.includes(sign),
        SUPERVISION_LIMIT_MS,
      );
      const twoDaysAgo = new Date(Date.now() - 48 * 3_600_000);
      await own.database.client.jobAttempt.updateMany({ data: { leaseExpiresAt: twoDaysAgo } });
      // A start looks for what nobody can go on with, too, and may do so first.
      await new Recovery({ ...own.context, lostAfterSeconds: 60 })[Symbol.asyncDispose]();
      const next = own.goOn(await own.takeOver());
      await own.printed(first.id, 'last');
      if (status === 'RUNNING') {
        expect(await own.jobs.get(first.id)).toMatchObject({ status });
        next.tell({ type: 'cancel', reason: 'enough' });
      }
      const { job, events } = await next.ended;
      expect(job).toMatchObject({ status: status === 'RUNNING' ? 'CANCELLED' : status });
      expect(outputTexts(events)).toEqual([...numbers(3), 'last']);
    },
  );

  it('is not disturbed by its former worker, which lets go of it as soon as it notices', async () => {
    const { client } = own.database;
    const former = await own.supervise(COUNTER);
    await own.printed(former.id, '3');
    // The former one holds the row for a moment whenever it stores lines: then it is passed over until the next look.
    const [claim] = await poll(
      async () => {
        await client.jobAttempt.updateMany({ data: { leaseExpiresAt: new Date(Date.now() - 1000) } });
        return takeOverAttempts(client, own.worker('quicker'), []);
      },
      (claims) => claims.length > 0,
      SUPERVISION_LIMIT_MS,
    );
    if (claim === undefined) throw new Error('there was nothing to take over');
    const next = own.goOn(claim);
    await former.ended;
    await own.give(former.id, 'enough');
    const { job, events } = await next.ended;
    expect(job).toMatchObject({ status: 'COMPLETED' });
    const texts = outputTexts(events);
    expect(texts).toEqual(numbers(texts.length));
    expect(events.at(-1)).toMatchObject({ type: 'end', lines: texts.length });
  });

  it('whose cancel was asked for while nobody had it ends as CANCELLED', async () => {
    const first = await own.supervise(STUBBORN);
    await own.printed(first.id, 'ready');
    await release(first);
    await own.jobs.cancel(first.id, 'enough');
    const { job } = await own.goOn(await own.takeOver()).ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
    expect(await own.processesOf(first.id)).toEqual([]);
  });

  it('whose run bears a cancel that the database does not know of ends as CANCELLED, and is not tried again', async () => {
    const first = await own.supervise(STUBBORN, { retries: 1 });
    const { id, claim } = first;
    await own.printed(id, 'ready');
    await release(first);
    await own.executor.cancel({ jobId: id, attempt: 1, place: claim.place }, 'shut down');
    const { job } = await own.goOn(await own.takeOver()).ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'shut down' });
    expect(await own.processesOf(id)).toEqual([]);
    expect(await readdir(own.folder)).toEqual([]);
  });

  it('whose script was not started yet when its run was cancelled never starts it', async () => {
    const { jobId, place } = await own.claim('print("never")\n');
    await own.executor.cancel({ jobId, attempt: 1, place }, 'shut down');
    const { job, events } = await own.goOn(await own.takeOver()).ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'shut down' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'CANCELLED']);
    expect(await readdir(own.folder)).toEqual([]);
  });

  it('before its script was started starts it, once', async () => {
    const claim = await own.claim('print("only once")\n');
    const { jobId, place } = claim;
    // As far as a worker had come that was killed between the two.
    await own.executor.reserve({ jobId, attempt: 1, place });
    await moveJob(own.database.client, jobId, 'RUNNING', claim);
    const { job, events } = await own.goOn(await own.takeOver()).ended;
    expect(job).toMatchObject({ status: 'COMPLETED' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED']);
    expect(outputTexts(events)).toEqual(['only once']);
  });

  it('of which nothing is left on its machine is LOST', async () => {
    const claim = await own.claim('print("never")\n');
    await moveJob(own.database.client, claim.jobId, 'RUNNING', claim);
    const { job } = await own.goOn(await own.takeOver()).ended;
    expect(job).toMatchObject({ status: 'LOST', error: expect.stringContaining('nothing is left of its run') });
  });

  it('while its model was being registered has one version, not two', async () => {
    const model = uniqueName('job');
    const { id: attemptId, jobId } = await own.claim('print("trained")\n', { modelName: model });
    // As far as a worker had come that was killed before it could note the version that MLflow had made.
    const created = await fetch(`${own.context.gatewayUrl}/api/2.0/mlflow/runs/create`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ experiment_id: '0' }),
    });
    const { run } = z.object({ run: z.object({ info: z.object({ run_id: z.string() }) }) }).parse(await created.json());
    const runId = run.info.run_id;
    const source = `runs:/${runId}/model`;
    await own.database.client.jobSavedModel.create({
      data: { jobId, source, path: 'model/model.pkl', runId, attemptId },
    });
    const { models, mlflow } = own.context;
    const made = await models.register({ name: model, source, runId, tags: { 'asgard.job_id': jobId } });
    const { job, events } = await own.goOn(await own.takeOver()).ended;
    expect(job).toMatchObject({ status: 'COMPLETED', modelVersion: made.version });
    expect(events.filter(({ type }) => type === 'registration')).toHaveLength(1);
    const { items } = await mlflow.searchModelVersions({ filter: `name = '${model}'`, maxResults: 10 });
    expect(items).toHaveLength(1);
  });
});
