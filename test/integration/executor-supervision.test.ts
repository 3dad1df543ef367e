import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import type { TrainingJob } from '../../src/database/generated/client.ts';
import { Listener } from '../../src/database/listen.ts';
import type { Executor } from '../../src/executors/executor.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { VersionChecks } from '../../src/inference/check/version-checks.ts';
import { JobEventFeed } from '../../src/jobs/event-feed.ts';
import { readEvents } from '../../src/jobs/event-store.ts';
import type { NumberedJobEvent } from '../../src/jobs/events.ts';
import { type Claim, claimJobs, takeOverAttempts, type Worker } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { issueJobToken } from '../../src/jobs/tracking.ts';
import { endAttempt, moveJob } from '../../src/jobs/transitions.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelFiles } from '../../src/models/model-files.ts';
import { ModelService } from '../../src/models/service.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { PythonEnvironments, toolchainPython } from '../../src/python/environments.ts';
import type { ControlMessage } from '../../src/worker/messages.ts';
import { Recovery } from '../../src/worker/recovery.ts';
import { Supervision } from '../../src/worker/supervision.ts';
import type { SupervisorContext } from '../../src/worker/supervisor-context.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { CAN_BE_APART } from '../support/isolation.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { omittedOf, outputTexts, proofOf, readAllEvents, unexplainedHoles } from '../support/output.ts';
import { poll } from '../support/poll.ts';
import { processesWith } from '../support/processes-by-argument.ts';
import { runnerPidOf } from '../support/runner-pid.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { SUBMISSION } from '../support/submission.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);
/** The first run on a fresh clone builds the base environment. */
const LIMIT_MS = 220_000;

let server: DatabasesForTests;
let mlflow: MlflowForTests;
let folder: string;
let executor: LocalExecutor;
let test: TestDatabase;
let context: SupervisorContext;
let jobs: JobService;

beforeAll(async () => {
  [server, mlflow, folder] = await Promise.all([
    DatabasesForTests.start(),
    startMlflow(),
    mkdtemp(join(tmpdir(), 'asgard-supervision-')),
  ]);
  executor = new LocalExecutor({
    folder,
    python: toolchainPython(toolchain),
    isolation: CAN_BE_APART ? 'namespaces' : 'none',
  });
});
afterAll(async () => {
  await mlflow?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  test = await server.create();
  jobs = new JobService(test.client);
  const client = new MlflowClient({ baseUrl: () => mlflow.url });
  const environments = new PythonEnvironments({ folder: join(toolchain, 'environments'), toolchain });
  const parts = {
    database: test.client,
    executor,
    environments,
    mlflow: client,
    logger: createLogger('silent', false),
  };
  const files = new ModelFiles({ mlflow: client, folder: join(folder, 'model-files'), limitBytes: 2 ** 30 });
  context = {
    ...parts,
    models: new ModelService(client),
    checks: new VersionChecks({ ...parts, files, limitSeconds: 60 }),
    outputLimitBytes: 1024 * 1024,
    gatewayUrl: mlflow.url,
  };
  return async () => {
    await client[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
  };
});

/** A worker of this machine, whose runs go to the folder of the test. */
const worker = (id = 'worker', { machine, place, placeId }: Executor = executor): Worker => {
  return { id, machine, place, placeId };
};

/** A job that a worker has claimed and supervises. */
interface Supervised {
  readonly id: string;
  readonly claim: Claim;
  readonly control: MessagePort;
  /** Resolves with the job and its events once the supervision is over. */
  readonly ended: Promise<{ job: TrainingJob; events: NumberedJobEvent[] }>;
}

async function supervise(script: string, changes: Partial<typeof SUBMISSION> = {}, by = context): Promise<Supervised> {
  const { id } = await jobs.submit({ ...SUBMISSION, script, ...changes });
  // Its name is in its arguments: so it is found among the processes.
  await test.client.trainingJob.update({ where: { id }, data: { scriptName: `${id}.py` } });
  const [claim] = await claimJobs(test.client, worker('worker', by.executor), 1);
  if (claim?.jobId !== id) throw new Error('another job was claimed');
  return goOn(claim, by);
}

function goOn(claim: Claim, by = context): Supervised {
  const { jobId: id } = claim;
  const { port1: control, port2 } = new MessageChannel();
  const ended = (async () => {
    try {
      await new Supervision(by, claim, port2).run();
    } finally {
      control.close();
    }
    return { job: await jobs.get(id), events: await readEvents(test.client, id, 0, 10_000) };
  })();
  ended.catch(() => {}); // of a test that has failed before nobody looks at it
  return { id, claim, control, ended };
}

const statusesOf = (events: readonly NumberedJobEvent[]) =>
  events.flatMap((event) => (event.type === 'status' ? [event.status] : []));

/** Resolves once the job's script has printed the line. */
const printed = (id: string, text: string) =>
  poll(
    () => readEvents(test.client, id, 0, 1000),
    (events) => outputTexts(events).includes(text),
    LIMIT_MS,
  );

const STUBBORN =
  'import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint("ready", flush=True)\ntime.sleep(60)\n';

describe('a job', { timeout: LIMIT_MS }, () => {
  it('that takes longer than its time ends as TIMED_OUT, with its script and what that printed', async () => {
    const { id, ended } = await supervise(STUBBORN, { timeoutSeconds: 2 });
    const { job, events } = await ended;
    expect(job).toMatchObject({ status: 'TIMED_OUT', error: 'the job did not end within its 2 s' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'TIMED_OUT']);
    expect(outputTexts(events)).toEqual(['ready']);
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'TIMED_OUT', signal: 'SIGKILL', lines: 1 });
    expect(await processesWith(`${id}.py`)).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('whose runner is killed is LOST, and its script is gone', async () => {
    const { id, ended } = await supervise(STUBBORN);
    await printed(id, 'ready');
    process.kill(await runnerPidOf(join(folder, id, '1')), 'SIGKILL');
    const { job, events } = await ended;
    expect(job).toMatchObject({ status: 'LOST', error: expect.stringContaining(id) });
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'LOST', exitCode: null });
    await poll(
      () => processesWith(`${id}.py`),
      (pids) => pids.length === 0,
    );
  });

  describe('on a disk that becomes full', () => {
    let disk: SmallDisk | undefined;
    beforeEach(async ({ skip }) => {
      disk = await SmallDisk.mount(4);
      if (disk === undefined) return skip('nothing can be mounted here');
      const small = new LocalExecutor({ folder: disk.folder, python: toolchainPython(toolchain) });
      context = { ...context, executor: small, outputLimitBytes: 64 * 1024 * 1024 };
      return () => disk?.[Symbol.asyncDispose]();
    });

    it('by its own output fails with the reason, what was printed before is proven, and another job goes on', async () => {
      const elsewhere = { ...context, executor };
      const [other, full] = [
        await supervise(
          'import time\nfor i in range(20):\n    print(i, flush=True)\n    time.sleep(0.1)\n',
          {},
          elsewhere,
        ),
        await supervise('while True:\n    print("x" * 999)\n'),
      ];
      const { job, events } = await full.ended;
      expect(job).toMatchObject({
        status: 'FAILED',
        error: 'the script was killed, as its output could not be stored: the disk is full (No space left on device)',
      });
      const all = await readAllEvents(test.client, full.id);
      expect(unexplainedHoles(all)).toEqual([]);
      expect(events.length).toBeGreaterThan(100);
      expect(all.at(-1)).toMatchObject({ type: 'end', signal: 'SIGKILL', ...proofOf(outputTexts(all)) });
      expect(await readdir(disk?.folder ?? '')).toEqual([]);
      const { job: otherJob, events: otherEvents } = await other.ended;
      expect(otherJob.status).toBe('COMPLETED');
      expect(outputTexts(otherEvents)).toHaveLength(20);
    });

    it('before it begins fails with the reason, and begins nothing', async () => {
      await disk?.fill();
      const { id, ended } = await supervise('print("never")\n');
      const { job, events } = await ended;
      expect(job).toMatchObject({
        status: 'FAILED',
        error: expect.stringMatching(/^the disk is full: ENOSPC: no space left on device, /),
      });
      expect(outputTexts(events)).toEqual([]);
      expect(await readdir(disk?.folder ?? '')).toEqual(['filler']);
      expect(await processesWith(`${id}.py`)).toEqual([]);
    });
  });

  it('whose lines the database has no room for fails with the reason', async () => {
    const sql = await test.sql();
    await sql.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100'; END $$`);
    await sql.query(`CREATE TRIGGER refuse BEFORE INSERT ON job_events FOR EACH ROW WHEN (NEW.output_bytes > 0)
      EXECUTE FUNCTION refuse()`);
    const { id, ended } = await supervise(STUBBORN);
    const { job } = await ended;
    expect(job).toMatchObject({
      status: 'FAILED',
      error: expect.stringMatching(/^the disk is full: .*could not extend file .*No space left on device/),
    });
    expect(await processesWith(`${id}.py`)).toEqual([]);
  });

  describe('that prints more than is kept', () => {
    const LINES = 30_000;
    const textOf = (number: number) => `${number} ${'x'.repeat(150)}`;
    const ALL = proofOf(Array.from({ length: LINES }, (_, index) => textOf(index)));

    /** That the first half and the end are there, and the end record proves it. */
    async function expectKept(id: string): Promise<void> {
      const events = await readAllEvents(test.client, id);
      expect(unexplainedHoles(events)).toEqual([]);
      const texts = outputTexts(events);
      const kept = proofOf(texts);
      expect(omittedOf(events)).toMatchObject({ lines: LINES - kept.lines, bytes: ALL.bytes - kept.bytes });
      expect(texts[0]).toBe(textOf(0));
      expect(texts.at(-1)).toBe(textOf(LINES - 1));
      expect(kept.bytes).toBeGreaterThan(context.outputLimitBytes * 0.75);
      expect(kept.bytes).toBeLessThanOrEqual(context.outputLimitBytes);
      expect(events.at(-1)).toMatchObject({ type: 'end', status: 'COMPLETED', ...ALL, kept });
    }

    it('is followed whole by who keeps up, and keeps the first half and the end', async () => {
      await using listener = await Listener.start({ url: test.url });
      using feed = await JobEventFeed.start(test.client, listener);
      // It waits for its reader, so that a busy machine does not make that late.
      const { id, ended } = await supervise(`
import os, time
for i in range(${LINES}):
    while i % 1000 == 0 and i > 0 and not os.path.exists(f"seen-{i}"):
        time.sleep(0.005)
    print(i, "x" * 150)
`);
      const seen: NumberedJobEvent[] = [];
      for await (const list of feed.follow(id)) {
        seen.push(...list);
        const printed = outputTexts(seen).length;
        if (printed === 0 || printed % 1000 !== 0) continue;
        // For the last of them the script does not wait: its folder may be gone.
        await writeFile(join(folder, id, '1', 'work', `seen-${printed}`), '').catch(() => {});
      }
      expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, index) => index + 1));
      expect(seen.at(-1)).toMatchObject({ type: 'end', ...ALL });
      expect(proofOf(outputTexts(seen))).toEqual(ALL);
      await ended;
      await expectKept(id);
    });

    it('while nobody looks keeps the same, told by whoever takes it over', async () => {
      const { id, claim, control, ended } = await supervise(`
import os, time
print(0, "x" * 150)
while not os.path.exists("go"):
    time.sleep(0.01)
for i in range(1, ${LINES}):
    print(i, "x" * 150)
open("done", "w").close()
while not os.path.exists("end"):
    time.sleep(0.01)
`);
      await printed(id, textOf(0));
      control.postMessage({ type: 'release' } satisfies ControlMessage);
      await ended;
      const work = join(folder, id, '1', 'work');
      await writeFile(join(work, 'go'), '');
      await poll(
        () => readdir(work),
        (names) => names.includes('done'),
        LIMIT_MS,
      );
      const [next] = await takeOverAttempts(test.client, worker('next'), []);
      expect(next).toMatchObject({ id: claim.id });
      if (next === undefined) return;
      await writeFile(join(work, 'end'), '');
      await goOn(next).ended;
      await expectKept(id);
    });
  });

  it('whose runner is killed is tried again when it has a retry left, and nothing of the first attempt runs on', async () => {
    const { id, claim, ended } = await supervise(
      `import os, signal, sys, time
if os.environ["ASGARD_RUN"].endswith("/2"):
    print("again", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
print("ready", flush=True)
time.sleep(60)
`,
      { retries: 1 },
    );
    await printed(id, 'ready');
    process.kill(await runnerPidOf(join(folder, id, '1')), 'SIGKILL');
    const first = await ended;
    expect(first.job).toMatchObject({ status: 'QUEUED', error: null, completedAt: null });
    expect(await processesWith(`${id}.py`)).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
    expect(await issueJobToken(test.client, claim)).toBeNull();
    await test.client.trainingJob.update({ where: { id }, data: { notBefore: null } });
    const [next] = await claimJobs(test.client, worker(), 1);
    if (next === undefined) throw new Error('nothing was claimed');
    const { job, events } = await goOn(next).ended;
    expect(job).toMatchObject({ status: 'COMPLETED', error: null });
    expect(statusesOf(events)).toEqual([
      'QUEUED',
      'PREPARING',
      'RUNNING',
      'QUEUED',
      'PREPARING',
      'RUNNING',
      'COMPLETED',
    ]);
    expect(outputTexts(events)).toEqual(['ready', 'again']);
    expect(events.at(-1)).toMatchObject({ type: 'end', exitCode: 0, lines: 1, bytes: 6 });
    const attempts = await test.client.jobAttempt.findMany({ orderBy: { number: 'asc' } });
    expect(attempts).toMatchObject([
      { status: 'LOST', exitCode: null, cpuSeconds: null },
      { status: 'COMPLETED', exitCode: 0, cpuSeconds: expect.any(Number), maxRssBytes: expect.any(BigInt) },
    ]);
  });

  it('whose runner was asked to end by others than the platform is LOST, not cancelled', async () => {
    const { id, ended } = await supervise('import time\nprint("ready", flush=True)\ntime.sleep(60)\n');
    await printed(id, 'ready');
    process.kill(await runnerPidOf(join(folder, id, '1')), 'SIGTERM');
    expect((await ended).job).toMatchObject({ status: 'LOST', error: expect.stringContaining('shut down') });
  });

  describe.each([
    ['ignores SIGTERM', ''],
    ['forks', 'os.fork()\n'],
    [
      'double-forks into a new session',
      'if os.fork() == 0:\n    os.setsid()\n    if os.fork() > 0:\n        os._exit(0)\n',
    ],
    ['closes its output', 'os.fork()\nos.close(1)\nos.close(2)\n'],
  ])('whose script %s', (_how, code) => {
    const script = `import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
${code}time.sleep(600)
`;
    /** Resolves, once no process of a job is left, with the milliseconds since a moment (of `Date`). */
    const goneAfter = (id: string, moment: number) =>
      poll(
        () => processesWith(`${id}.py`),
        (pids) => pids.length === 0,
      ).then(() => Date.now() - moment);

    it('and that is cancelled has no process left half a second after its grace', { retry: 2 }, async () => {
      const { id, control, ended } = await supervise(script, { graceSeconds: 1 });
      await printed(id, 'ready');
      const gone = goneAfter(id, Date.now());
      control.postMessage({ type: 'cancel', reason: 'enough' } satisfies ControlMessage);
      const milliseconds = await gone;
      expect(milliseconds).toBeGreaterThan(900);
      expect(milliseconds).toBeLessThan(1500);
      expect((await ended).job).toMatchObject({ status: 'CANCELLED' });
    });

    it('and whose time is over has no process left half a second after its grace', { retry: 2 }, async () => {
      const timeoutSeconds = 3;
      const { id, claim, ended } = await supervise(script, { graceSeconds: 1, timeoutSeconds });
      await printed(id, 'ready');
      const { startedAt } = await test.client.jobAttempt.findUniqueOrThrow({ where: { id: claim.id } });
      const milliseconds = await goneAfter(id, startedAt.getTime() + timeoutSeconds * 1000);
      expect(milliseconds).toBeGreaterThan(900);
      expect(milliseconds).toBeLessThan(1500);
      expect((await ended).job).toMatchObject({ status: 'TIMED_OUT' });
    });
  });

  it('whose runner is stopped cannot hold a cancel up', async () => {
    const { id, control, ended } = await supervise(STUBBORN);
    await printed(id, 'ready');
    process.kill(await runnerPidOf(join(folder, id, '1')), 'SIGSTOP');
    const asked = performance.now();
    control.postMessage({ type: 'cancel', reason: 'enough' } satisfies ControlMessage);
    const { job } = await ended;
    expect(performance.now() - asked).toBeLessThan(15_000);
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
    expect(await processesWith(`${id}.py`)).toEqual([]);
  });

  it('whose attempt another has ended is let go: its script ends, and nothing is added', async () => {
    const { id, claim, ended } = await supervise(
      'import time\nprint("ready", flush=True)\nwhile True:\n    print("more", flush=True)\n    time.sleep(0.02)\n',
    );
    await printed(id, 'ready');
    await endAttempt(test.connect(1), id, claim, { status: 'LOST', error: 'the lease ran out' });
    const before = await readEvents(test.client, id, 0, 10_000);
    expect(before.at(-1)).toMatchObject({ type: 'end', status: 'LOST' });
    const { job, events } = await ended;
    expect(job).toMatchObject({ status: 'LOST', error: 'the lease ran out' });
    expect(events).toEqual(before);
    expect(await processesWith(`${id}.py`)).toEqual([]);
  });

  it('that was cancelled between its claim and its supervision never starts a script', async () => {
    const { id } = await jobs.submit({ ...SUBMISSION, script: 'print("never")\n' });
    const [claim] = await claimJobs(test.client, worker(), 1);
    if (claim === undefined) throw new Error('nothing was claimed');
    await jobs.cancel(id, 'changed my mind');
    const { port1, port2 } = new MessageChannel();
    await new Supervision(context, claim, port2).run();
    port1.close();
    await expect(jobs.get(id)).resolves.toMatchObject({ status: 'CANCELLED', error: 'changed my mind' });
    expect(statusesOf(await readEvents(test.client, id, 0, 100))).toEqual(['QUEUED', 'PREPARING', 'CANCELLED']);
  });

  it.each([0, 20, 60, 120, 200])(
    'that is cancelled %i ms after it began ends as CANCELLED, at whichever step that is',
    async (milliseconds) => {
      const { id, control, ended } = await supervise(STUBBORN);
      setTimeout(
        () => control.postMessage({ type: 'cancel', reason: 'enough' } satisfies ControlMessage),
        milliseconds,
      );
      const { job, events } = await ended;
      expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
      expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
      expect(events.at(-1)).toMatchObject({ type: 'end', status: 'CANCELLED', lines: outputTexts(events).length });
      expect(await processesWith(`${id}.py`)).toEqual([]);
      expect(await readdir(folder)).toEqual([]);
    },
  );

  it('that waits for an MLflow that is away can be cancelled, and says what it waits for', async () => {
    await using away = new MlflowClient({ baseUrl: () => 'http://127.0.0.1:1' });
    context = { ...context, mlflow: away, models: new ModelService(away) };
    const { id, control, ended } = await supervise('print("never")\n');
    await poll(
      () => jobs.withLog(id),
      ({ log }) => log.includes('Waiting for the MLflow server'),
      LIMIT_MS,
    );
    control.postMessage({ type: 'cancel', reason: 'enough' } satisfies ControlMessage);
    const { job, events } = await ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'CANCELLED']);
  });

  it('whose requirements are not resolved in time ends as TIMED_OUT before any script', async () => {
    const given = process.env['UV_DEFAULT_INDEX'];
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo; // a server that listens on TCP has one
    process.env['UV_DEFAULT_INDEX'] = `http://127.0.0.1:${port}/simple`;
    try {
      const { ended } = await supervise('print("never")\n', { requirements: ['six'], timeoutSeconds: 1 });
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
});

describe('an attempt that is taken over', { timeout: LIMIT_MS }, () => {
  const COUNTER = (count: number, pauseSeconds: number) =>
    `import time\nfor i in range(${count}):\n    print(i, flush=True)\n    time.sleep(${pauseSeconds})\n`;
  const numbers = (count: number) => Array.from({ length: count }, (_item, index) => String(index));

  /** Lets the supervision go, as a shutdown does, and goes on with another worker. */
  async function handOver({ control, ended }: Supervised): Promise<Supervised> {
    control.postMessage({ type: 'release' } satisfies ControlMessage);
    await ended;
    const [claim] = await takeOverAttempts(test.client, worker(`worker ${Math.random()}`), []);
    if (claim === undefined) throw new Error('there was nothing to take over');
    return goOn(claim);
  }

  it('goes on with the script that runs: every line is stored once, and it ends as it would have', async () => {
    let current = await supervise(COUNTER(300, 0.005));
    await printed(current.id, '0');
    for (let hands = 0; hands < 4; hands += 1) current = await handOver(current);
    const { job, events } = await current.ended;
    expect(job).toMatchObject({ status: 'COMPLETED' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED']);
    expect(outputTexts(events)).toEqual(numbers(300));
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-1)).toMatchObject({ type: 'end', status: 'COMPLETED', exitCode: 0, lines: 300 });
    expect(await readdir(folder)).toEqual([]);
  });

  it('after its script has ended is ended with what the script left', async () => {
    const first = await supervise(`${COUNTER(3, 0)}time.sleep(0.5)\nprint("last", flush=True)\nraise SystemExit(7)\n`);
    await printed(first.id, '2');
    first.control.postMessage({ type: 'release' } satisfies ControlMessage);
    await first.ended;
    await poll(
      () => processesWith(`${first.id}.py`),
      (pids) => pids.length === 0,
      LIMIT_MS,
    );
    const [claim] = await takeOverAttempts(test.client, worker('next'), []);
    if (claim === undefined) throw new Error('there was nothing to take over');
    const { job, events } = await goOn(claim).ended;
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
      const first = await supervise(`${COUNTER(3, 0)}time.sleep(0.5)\nprint("last", flush=True)\n${code}`);
      await printed(first.id, '2');
      first.control.postMessage({ type: 'release' } satisfies ControlMessage);
      await first.ended;
      const spool = join(folder, first.id, '1', 'spool');
      const sign = status === 'RUNNING' ? 'last' : '"exit"';
      await poll(
        () => readFile(spool, 'utf8'),
        (text) => text.includes(sign),
        LIMIT_MS,
      );
      await test.client.jobAttempt.updateMany({ data: { leaseExpiresAt: new Date(Date.now() - 48 * 3_600_000) } });
      // A start looks for what nobody can go on with, too, and may do so first.
      await new Recovery({ ...context, lostAfterSeconds: 60 })[Symbol.asyncDispose]();
      const [claim] = await takeOverAttempts(test.client, worker('next'), []);
      if (claim === undefined) throw new Error('there was nothing to take over');
      const next = goOn(claim);
      await printed(first.id, 'last');
      if (status === 'RUNNING') {
        expect(await jobs.get(first.id)).toMatchObject({ status });
        next.control.postMessage({ type: 'cancel', reason: 'enough' } satisfies ControlMessage);
      }
      const { job, events } = await next.ended;
      expect(job).toMatchObject({ status: status === 'RUNNING' ? 'CANCELLED' : status });
      expect(outputTexts(events)).toEqual([...numbers(3), 'last']);
    },
  );

  it('is not disturbed by its former worker, which lets go of it as soon as it notices', async () => {
    const former = await supervise(COUNTER(200, 0.01));
    await printed(former.id, '3');
    // The former one holds the row for a moment whenever it stores lines: then it is passed over until the next look.
    const [claim] = await poll(
      async () => {
        await test.client.jobAttempt.updateMany({ data: { leaseExpiresAt: new Date(Date.now() - 1000) } });
        return takeOverAttempts(test.client, worker('quicker'), []);
      },
      (claims) => claims.length > 0,
    );
    if (claim === undefined) throw new Error('there was nothing to take over');
    const next = goOn(claim);
    await former.ended;
    const { job, events } = await next.ended;
    expect(job).toMatchObject({ status: 'COMPLETED' });
    expect(outputTexts(events)).toEqual(numbers(200));
  });

  it('whose cancel was asked for while nobody had it ends as CANCELLED', async () => {
    const { id, control, ended } = await supervise(STUBBORN);
    await printed(id, 'ready');
    control.postMessage({ type: 'release' } satisfies ControlMessage);
    await ended;
    await jobs.cancel(id, 'enough');
    const [claim] = await takeOverAttempts(test.client, worker('next'), []);
    if (claim === undefined) throw new Error('there was nothing to take over');
    const { job } = await goOn(claim).ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'enough' });
    expect(await processesWith(`${id}.py`)).toEqual([]);
  });

  it('whose run bears a cancel that the database does not know of ends as CANCELLED, and is not tried again', async () => {
    const { id, claim, control, ended } = await supervise(STUBBORN, { retries: 1 });
    await printed(id, 'ready');
    control.postMessage({ type: 'release' } satisfies ControlMessage);
    await ended;
    await executor.cancel({ jobId: id, attempt: 1, place: claim.place }, 'shut down');
    const [next] = await takeOverAttempts(test.client, worker('next'), []);
    if (next === undefined) throw new Error('there was nothing to take over');
    expect((await goOn(next).ended).job).toMatchObject({ status: 'CANCELLED', error: 'shut down' });
    expect(await processesWith(`${id}.py`)).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('whose script was not started yet when its run was cancelled never starts it', async () => {
    const { id } = await jobs.submit({ ...SUBMISSION, script: 'print("never")\n' });
    const [claim] = await claimJobs(test.client, worker(), 1);
    if (claim === undefined) throw new Error('nothing was claimed');
    await executor.cancel({ jobId: id, attempt: 1, place: claim.place }, 'shut down');
    const [next] = await takeOverAttempts(test.client, worker('next'), []);
    if (next === undefined) throw new Error('there was nothing to take over');
    const { job, events } = await goOn(next).ended;
    expect(job).toMatchObject({ status: 'CANCELLED', error: 'shut down' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'CANCELLED']);
    expect(await readdir(folder)).toEqual([]);
  });

  it('before its script was started starts it, once', async () => {
    const { id } = await jobs.submit({ ...SUBMISSION, script: 'print("only once")\n' });
    const [claim] = await claimJobs(test.client, worker(), 1);
    if (claim === undefined) throw new Error('nothing was claimed');
    // As far as a worker had come that was killed between the two.
    await executor.reserve({ jobId: id, attempt: 1, place: claim.place });
    await moveJob(test.client, id, 'RUNNING', claim);
    const [taken] = await takeOverAttempts(test.client, worker('next'), []);
    if (taken === undefined) throw new Error('there was nothing to take over');
    const { job, events } = await goOn(taken).ended;
    expect(job).toMatchObject({ status: 'COMPLETED' });
    expect(statusesOf(events)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED']);
    expect(outputTexts(events)).toEqual(['only once']);
  });

  it('of which nothing is left on its machine is LOST', async () => {
    const { id } = await jobs.submit(SUBMISSION);
    const [claim] = await claimJobs(test.client, worker(), 1);
    if (claim === undefined) throw new Error('nothing was claimed');
    await moveJob(test.client, id, 'RUNNING', claim);
    const [taken] = await takeOverAttempts(test.client, worker('next'), []);
    if (taken === undefined) throw new Error('there was nothing to take over');
    const { job } = await goOn(taken).ended;
    expect(job).toMatchObject({ status: 'LOST', error: expect.stringContaining('nothing is left of its run') });
  });

  it('while its model was being registered has one version, not two', async () => {
    const model = `job-${Math.random().toString(36).slice(2)}`;
    const { id } = await jobs.submit({ ...SUBMISSION, modelName: model, script: 'print("trained")\n' });
    const [claim] = await claimJobs(test.client, worker(), 1);
    if (claim === undefined) throw new Error('nothing was claimed');
    // As far as a worker had come that was killed before it could note the version that MLflow had made.
    const created = await fetch(`${mlflow.url}/api/2.0/mlflow/runs/create`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ experiment_id: '0' }),
    });
    const { run } = z.object({ run: z.object({ info: z.object({ run_id: z.string() }) }) }).parse(await created.json());
    const runId = run.info.run_id;
    const source = `runs:/${runId}/model`;
    await test.client.jobSavedModel.create({
      data: { jobId: id, source, path: 'model/model.pkl', runId, attemptId: claim.id },
    });
    const made = await context.models.register({ name: model, source, runId, tags: { 'asgard.job_id': id } });
    const [taken] = await takeOverAttempts(test.client, worker('next'), []);
    if (taken === undefined) throw new Error(`nothing to take over of ${claim.jobId}`);
    const { job, events } = await goOn(taken).ended;
    expect(job).toMatchObject({ status: 'COMPLETED', modelVersion: made.version });
    expect(events.filter(({ type }) => type === 'registration')).toHaveLength(1);
    const { items } = await context.mlflow.searchModelVersions({ filter: `name = '${model}'`, maxResults: 10 });
    expect(items).toHaveLength(1);
  });
});
