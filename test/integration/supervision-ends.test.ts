import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { readEvents } from '../../src/jobs/event-store.ts';
import { issueJobToken } from '../../src/jobs/tracking.ts';
import { endAttempt } from '../../src/jobs/transitions.ts';
import { outputTexts } from '../support/output.ts';
import {
  STUBBORN,
  SUPERVISION_LIMIT_MS,
  type SupervisedJobs,
  statusesOf,
  superviseEachTest,
} from '../support/supervised-jobs.ts';
import { inTimeEnough } from '../support/time-enough.ts';

let own: SupervisedJobs;
superviseEachTest((jobs) => {
  own = jobs;
});

describe('a job', { timeout: SUPERVISION_LIMIT_MS }, () => {
  it('that takes longer than its time ends as TIMED_OUT, with its script and what that printed', async () => {
    const { id, timeoutSeconds, job, events } = await inTimeEnough(
      async (timeoutSeconds) => {
        const { id, ended } = await own.supervise(STUBBORN, { timeoutSeconds });
        return { id, timeoutSeconds, ...(await ended) };
      },
      ({ events }) => outputTexts(events).length > 0,
    );
    expect(job).toMatchObject({ status: 'TIMED_OUT', error: `the job did not end within its ${timeoutSeconds} s` });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'TIMED_OUT']);
    expect(outputTexts(events)).toEqual(['ready']);
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'TIMED_OUT', signal: 'SIGKILL', lines: 1 });
    expect(await own.processesOf(id)).toEqual([]);
    expect(await readdir(own.folder)).toEqual([]);
  });

  it('whose requirements are not resolved in time ends as TIMED_OUT before any script', async () => {
    const given = process.env['UV_DEFAULT_INDEX'];
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo; // a server that listens on TCP has one
    process.env['UV_DEFAULT_INDEX'] = `http://127.0.0.1:${port}/simple`;
    try {
      const { ended } = await own.supervise('print("never")\n', { requirements: ['six'], timeoutSeconds: 1 });
      const { job, events } = await ended;
      expect(job).toMatchObject({ status: 'TIMED_OUT', error: 'the job did not end within its 1 s' });
      expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'TIMED_OUT']);
    } finally {
      if (given === undefined) delete process.env['UV_DEFAULT_INDEX'];
      else process.env['UV_DEFAULT_INDEX'] = given;
      silent.closeAllConnections();
      silent.close();
    }
  });

  it('whose runner is killed is LOST, and its script is gone', async () => {
    const { id, ended } = await own.supervise(STUBBORN);
    await own.printed(id, 'ready');
    process.kill(await own.runnerPid(id), 'SIGKILL');
    const { job, events } = await ended;
    expect(job).toMatchObject({ status: 'LOST', error: expect.stringContaining(id) });
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'LOST', exitCode: null });
    await own.gone(id);
  });

  it('whose runner is killed is tried again when it has a retry left, and nothing of the first attempt runs on', async () => {
    const { client } = own.database;
    const { id, claim, ended } = await own.supervise(
      `import os, signal, sys, time
if os.environ["ASGARD_RUN"].endswith("/2"):
    print("again", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
print("ready", flush=True)
time.sleep(600)
`,
      { retries: 1 },
    );
    await own.printed(id, 'ready');
    process.kill(await own.runnerPid(id), 'SIGKILL');
    const first = await ended;
    expect(first.job).toMatchObject({ status: 'QUEUED', error: null, completedAt: null });
    expect(await own.processesOf(id)).toEqual([]);
    expect(await readdir(own.folder)).toEqual([]);
    expect(await issueJobToken(client, claim)).toBeNull();
    await client.trainingJob.update({ where: { id }, data: { notBefore: null } });
    const { job, events } = await own.goOn(await own.claimNext()).ended;
    expect(job).toMatchObject({ status: 'COMPLETED', error: null });
    const once = ['QUEUED', 'PREPARING', 'RUNNING'];
    expect(statusesOf(events)).toEqual([...once, ...once, 'COMPLETED']);
    expect(outputTexts(events)).toEqual(['ready', 'again']);
    expect(events.at(-1)).toMatchObject({ type: 'end', exitCode: 0, lines: 1, bytes: 6 });
    const attempts = await client.jobAttempt.findMany({ orderBy: { number: 'asc' } });
    expect(attempts).toMatchObject([
      { status: 'LOST', exitCode: null, cpuSeconds: null },
      { status: 'COMPLETED', exitCode: 0, cpuSeconds: expect.any(Number), maxRssBytes: expect.any(BigInt) },
    ]);
  });

  it('whose runner was asked to end by others than the platform is LOST, not cancelled', async () => {
    const { id, ended } = await own.supervise('import time\nprint("ready", flush=True)\ntime.sleep(600)\n');
    await own.printed(id, 'ready');
    process.kill(await own.runnerPid(id), 'SIGTERM');
    expect((await ended).job).toMatchObject({ status: 'LOST', error: expect.stringContaining('shut down') });
  });

  it('whose attempt another has ended is let go: its script ends, and nothing is added', async () => {
    const { client } = own.database;
    const { id, claim, ended } = await own.supervise(
      'import time\nprint("ready", flush=True)\nwhile True:\n    print("more", flush=True)\n    time.sleep(0.02)\n',
    );
    await own.printed(id, 'ready');
    await endAttempt(own.database.connect(1), id, claim, { status: 'LOST', error: 'the lease ran out' });
    const before = await readEvents(client, id, 0, 10_000);
    expect(before.at(-1)).toMatchObject({ type: 'end', status: 'LOST' });
    const { job, events } = await ended;
    expect(job).toMatchObject({ status: 'LOST', error: 'the lease ran out' });
    expect(events).toEqual(before);
    expect(await own.processesOf(id)).toEqual([]);
  });
});
