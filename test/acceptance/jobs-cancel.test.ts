import { afterAll, describe, expect, inject, test } from 'vitest';
import { Gate, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { processesWith } from '../support/processes-by-argument.ts';
import { uniqueName } from '../support/unique-name.ts';

/** As many as the shared platform has. */
const SLOTS = 4;

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');

describe('cancelling', { timeout: JOB_LIMIT_MS }, () => {
  test('ends a script that ignores SIGTERM, and all that it started', async () => {
    const marker = uniqueName('stubborn');
    // A grandchild in a session of its own whose parent is gone, a forked copy, and the script itself: all ignore SIGTERM.
    const id = await jobs.submit(
      `
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('orphan', flush=True); time.sleep(600)"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", stubborn, "${marker}"])
    os._exit(0)
os.wait()
if os.fork() == 0:
    time.sleep(600)
while True:
    print("tick", flush=True)
    time.sleep(0.05)
`,
      { scriptName: `${marker}.py` },
    );
    // The script ticks once its copy is there, which the orphan may be faster than.
    for (const line of ['orphan', 'tick']) await jobs.line(id, line);
    expect((await processesWith(marker)).length).toBeGreaterThanOrEqual(3);

    await jobs.client.cancel(id, 'enough');
    const ended = await jobs.end(id);
    expect(await processesWith(marker)).toEqual([]);
    expect(ended.job).toMatchObject({ status: 'CANCELLED', error: 'enough', modelVersion: null });
    expect(ended.ending).toMatchObject({ status: 'CANCELLED', signal: 'SIGKILL', ...ended.proof });
    expect(ended.of('StatusChanged').at(-1)).toMatchObject({ status: 'CANCELLED', reason: 'enough' });
  });

  test('lets a script that handles SIGTERM end by itself, and keeps what it says then', async () => {
    const id = await jobs.submit(
      `
import signal, sys, time
def stop(_signal, _frame):
    print("saved my work", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(600)
`,
      { graceSeconds: 60 },
    );
    await jobs.line(id, 'ready');
    await jobs.client.cancel(id);
    const ended = await jobs.end(id);
    expect(ended.stdout).toEqual(['ready', 'saved my work']);
    expect(ended.job.status).toBe('CANCELLED');
    expect(ended.ending).toMatchObject({ exitCode: 7, signal: null, ...ended.proof });
  });

  test('twice is the same as once', async () => {
    const id = await jobs.submit('import time\nprint("ready", flush=True)\ntime.sleep(600)\n');
    await jobs.line(id, 'ready');
    await Promise.all([jobs.client.cancel(id, 'the first'), jobs.client.cancel(id), jobs.client.cancel(id)]);
    const ended = await jobs.end(id);
    expect(ended.job.status).toBe('CANCELLED');
    await expect(jobs.client.cancel(id, 'late')).resolves.toMatchObject({
      status: 'CANCELLED',
      error: ended.job.error,
    });
    const again = await jobs.end(id);
    expect(again.events).toEqual(ended.events);
  });

  test('of a job that has ended is a conflict, in GraphQL and in REST, and changes nothing', async () => {
    const ended = await jobs.run('print("done")\n');
    const { id } = ended.job;
    await expect(jobs.client.cancel(id)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(id),
    });
    const answer = await fetch(`${url}/mlops/training/jobs/${id}/cancel`, { method: 'POST' });
    expect(answer.status).toBe(409);
    await expect(answer.json()).resolves.toMatchObject({ detail: expect.stringContaining(id) });
    const after = await jobs.end(id);
    expect(after.job).toMatchObject({ status: 'COMPLETED', error: null });
    expect(after.events).toEqual(ended.events);
  });

  test('of an unknown job is NOT_FOUND', async () => {
    await expect(jobs.client.cancel('0000000000000000')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const answer = await fetch(`${url}/mlops/training/jobs/0000000000000000/cancel`, { method: 'POST' });
    expect(answer.status).toBe(404);
  });

  test('of a queued job is done when it is answered, and no script of it ever runs', async () => {
    await using gate = await Gate.create();
    const waiting = await Promise.all(Array.from({ length: SLOTS }, () => jobs.submit(`${gate.python}\nwait()\n`)));
    const marker = uniqueName('never');
    const queued = await jobs.submit(`${gate.python}\ntell("ran")\n`, { scriptName: `${marker}.py` });
    await expect(jobs.client.job(queued)).resolves.toMatchObject({ status: 'QUEUED' });

    const cancelled = await jobs.client.cancel(queued, 'not needed');
    expect(cancelled).toMatchObject({ status: 'CANCELLED', error: 'not needed' });
    const ended = await jobs.end(queued);
    expect(ended.events).toMatchObject([
      { __typename: 'StatusChanged', sequence: 1, status: 'QUEUED' },
      { __typename: 'StatusChanged', sequence: 2, status: 'CANCELLED', reason: 'not needed' },
      { __typename: 'JobEnded', sequence: 3, status: 'CANCELLED', exitCode: null, signal: null, ...ended.proof },
    ]);
    expect(ended.job).toMatchObject({ startedAt: null, completedAt: expect.any(String) });

    await gate.open();
    const others = await Promise.all(waiting.map((id) => jobs.end(id)));
    expect(others.map(({ job }) => job.status)).toEqual(others.map(() => 'COMPLETED'));
    expect((await jobs.end(queued)).events).toEqual(ended.events);
  });

  test('of a job that prepares a new environment ends it before its script', async () => {
    // No other test takes this package and this one never waits for it, so its environment is not there; and as nobody has asked
    // for just this before, it has to be resolved in any case.
    const id = await jobs.submit('print("never")\n', { requirements: [`inflect>=0.0.${Date.now()}`] });
    await jobs.status(id, 'PREPARING');
    await jobs.client.cancel(id);
    const ended = await jobs.end(id);
    expect(ended.job).toMatchObject({ status: 'CANCELLED' });
    expect(ended.of('StatusChanged').map(({ status }) => status)).toEqual(['QUEUED', 'PREPARING', 'CANCELLED']);
    expect(ended.stdout).toEqual([]);
  });
});
