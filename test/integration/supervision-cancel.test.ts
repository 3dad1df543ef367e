import { readdir } from 'node:fs/promises';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { readEvents } from '../../src/jobs/event-store.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelService } from '../../src/models/service.ts';
import { Supervision } from '../../src/worker/supervision.ts';
import { outputTexts } from '../support/output.ts';
import { poll } from '../support/poll.ts';
import {
  STUBBORN,
  SUPERVISION_LIMIT_MS,
  type SupervisedJobs,
  statusesOf,
  superviseEachTest,
} from '../support/supervised-jobs.ts';
import { inTimeEnough } from '../support/time-enough.ts';

const CANCEL = { type: 'cancel', reason: 'enough' } as const;

let own: SupervisedJobs;
superviseEachTest((jobs) => {
  own = jobs;
});

describe.each([
  ['ignores SIGTERM', ''],
  ['forks', 'os.fork()\n'],
  [
    'double-forks into a new session',
    'if os.fork() == 0:\n    os.setsid()\n    if os.fork() > 0:\n        os._exit(0)\n',
  ],
  ['closes its output', 'os.fork()\nos.close(1)\nos.close(2)\n'],
])('a job whose script %s', { timeout: SUPERVISION_LIMIT_MS }, (_how, code) => {
  const script = `import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
${code}time.sleep(600)
`;
  /** Clocks are not the same to the millisecond. */
  const GRACE_AT_LEAST_MS = 900;

  it('and that is cancelled has its grace, and no process after it', async () => {
    const { id, tell, ended } = await own.supervise(script, { graceSeconds: 1 });
    await own.printed(id, 'ready');
    const asked = performance.now();
    tell(CANCEL);
    await own.gone(id);
    expect(performance.now() - asked).toBeGreaterThan(GRACE_AT_LEAST_MS);
    expect((await ended).job).toMatchObject({ status: 'CANCELLED' });
    expect(await own.processesOf(id)).toEqual([]);
  });

  it('and whose time is over has its grace, and no process after it', async () => {
    const { id, endedAfterMs, job } = await inTimeEnough(
      async (timeoutSeconds) => {
        const { id, claim, ended } = await own.supervise(script, { graceSeconds: 1, timeoutSeconds });
        const { job, events } = await ended;
        const where = { id: claim.id };
        const { startedAt } = await own.database.client.jobAttempt.findUniqueOrThrow({ where });
        const endedAfterMs = Date.now() - startedAt.getTime() - timeoutSeconds * 1000;
        return { id, endedAfterMs, job, hasPrinted: outputTexts(events).length > 0 };
      },
      ({ hasPrinted }) => hasPrinted,
    );
    expect(endedAfterMs).toBeGreaterThan(GRACE_AT_LEAST_MS);
    expect(job).toMatchObject({ status: 'TIMED_OUT' });
    expect(await own.processesOf(id)).toEqual([]);
  });
});

describe('a job', { timeout: SUPERVISION_LIMIT_MS }, () => {
  it('whose runner is stopped cannot hold a cancel up', async () => {
    const { id, tell, ended } = await own.supervise(STUBBORN);
    await own.printed(id, 'ready');
    process.kill(await own.runnerPid(id), 'SIGSTOP');
    tell(CANCEL);
    const { job } = await ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
    expect(await own.processesOf(id)).toEqual([]);
  });

  it('that was cancelled between its claim and its supervision never starts a script', async () => {
    const claim = await own.claim('print("never")\n');
    const { jobId } = claim;
    await own.jobs.cancel(jobId, 'changed my mind');
    const { port1, port2 } = new MessageChannel();
    await new Supervision(own.context, claim, port2).run();
    port1.close();
    await expect(own.jobs.get(jobId)).resolves.toMatchObject({ status: 'CANCELLED', error: 'changed my mind' });
    const events = await readEvents(own.database.client, jobId, 0, 100);
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'CANCELLED']);
  });

  it.each([0, 20, 60, 120, 200])(
    'that is cancelled %i ms after it began ends as CANCELLED, at whichever step that is',
    async (milliseconds) => {
      const { id, tell, ended } = await own.supervise(STUBBORN);
      setTimeout(() => tell(CANCEL), milliseconds);
      const { job, events } = await ended;
      expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
      expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
      expect(events.at(-1)).toMatchObject({ type: 'end', status: 'CANCELLED', lines: outputTexts(events).length });
      expect(await own.processesOf(id)).toEqual([]);
      expect(await readdir(own.folder)).toEqual([]);
    },
  );

  it('that waits for an MLflow that is away can be cancelled, and says what it waits for', async () => {
    await using away = new MlflowClient({ baseUrl: () => 'http://127.0.0.1:1' });
    const context = { ...own.context, mlflow: away, models: new ModelService(away) };
    const { id, tell, ended } = await own.supervise('print("never")\n', {}, context);
    await poll(
      () => own.jobs.withLog(id),
      ({ log }) => log.includes('Waiting for the MLflow server'),
      SUPERVISION_LIMIT_MS,
    );
    tell(CANCEL);
    const { job, events } = await ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'CANCELLED']);
  });
});
