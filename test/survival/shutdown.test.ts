import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AsgardClient, type JobEvent } from '../../src/client/client.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { ChildProcess, isPortFree } from '../../src/platform/process.ts';
import { DataFolder, MAIN, type TestPlatform } from '../support/data-folder.ts';
import { eventsOf, MODEL_SCRIPT, STUBBORN_SCRIPT, submit } from '../support/job-scripts.ts';
import { EndedJob, Gate } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';

const LIMIT_SECONDS = 10;
const REASON = 'the platform was shut down';
const LISTENING = 'Asgard is listening';
// Its model stays in Python, in a process of its own, however soon its compiled form is proven.
const BUSY = { ASGARD_WORKER_SLOTS: '1', ASGARD_COMPILE: '0' };

/** Logs a metric with each line, while the platform ends and starts again, and waits for that in the midst of them. */
const patientScript = (gate: Gate) => `${gate.python}
import mlflow
with mlflow.start_run():
    for step in range(60):
        if step == 30:
            wait()
        mlflow.log_metric("step", step, step=step)
        print("step", step, flush=True)
        time.sleep(0.1)
`;

describe.sequential('a platform with much going on', { timeout: 240_000 }, () => {
  let folder: DataFolder;
  let platform: TestPlatform;

  beforeAll(async () => {
    folder = await DataFolder.make();
    platform = await folder.start(BUSY);
    await platform.ready();
    await eventsOf(platform.client, await submit(platform.client, MODEL_SCRIPT, 'doubler'));
  });

  afterAll(async () => {
    await platform?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  test.each([
    ['SIGTERM', 'SIGINT'],
    ['SIGINT', 'SIGQUIT'],
  ] as const)(
    `ends within ${LIMIT_SECONDS} s of %s and then %s, and leaves no process; the next start tells each job's truth`,
    async (signal, impatient) => {
      const { client, url, mlflowUrl } = platform;
      const prediction = await client.predict({ modelName: 'doubler', inputs: { x: [1, 21] } });
      expect(prediction.predictions).toEqual([expect.closeTo(2), expect.closeTo(42)]);
      const running = await submit(client, STUBBORN_SCRIPT);
      const queued = await submit(client, 'print("at last")');
      const followed: JobEvent[] = [];
      // This subscription lives through the restart: the client goes on where it was.
      const following = (async () => {
        for await (const event of client.jobEvents(running)) followed.push(event);
      })();
      following.catch(() => {}); // of a test that has failed before nobody looks at it
      const lines = () => followed.flatMap((event) => (event.__typename === 'LogLine' ? [event.text] : []));
      await poll(lines, (seen) => seen.includes('child') && seen.includes('tick 5'));
      const stream = await openStream(url);
      expect((await client.job(queued)).status).toBe('QUEUED');
      const programs = folder.processes().map(({ command }) => command);
      for (const name of ['main.ts', 'postgres', 'mlflow_server.py', 'runner.py', 'model_process.py', 'script.py']) {
        expect(programs).toContainEqual(expect.stringContaining(name));
      }

      // Whoever is impatient must not leave half of it running.
      const { seconds, ...ending } = await platform.endTwice(signal, impatient);
      console.info(`${signal}: ended after ${seconds.toFixed(1)} s`);
      expect(ending).toEqual({ code: 0, signal: null });
      expect(seconds).toBeLessThan(LIMIT_SECONDS);
      expect(folder.processes()).toEqual([]);
      const ports = [url, mlflowUrl].map((address) => new URL(address).port);
      expect(await Promise.all(ports.map(isPortFree))).toEqual([true, true]);
      await stream.closed;

      const [PORT, MLFLOW_PORT] = ports;
      platform = await folder.start({ ...BUSY, PORT, MLFLOW_PORT });
      const next = platform.client;
      const events = await eventsOf(next, running);
      expect(await next.job(running)).toMatchObject({ status: 'CANCELLED', error: REASON });
      expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_event, index) => index + 1));
      expect(events.slice(-2)).toMatchObject([
        { __typename: 'StatusChanged', status: 'CANCELLED', reason: REASON },
        { __typename: 'JobEnded', status: 'CANCELLED' },
      ]);
      const printed = events.filter((event) => event.__typename === 'LogLine' && event.stream !== 'PLATFORM');
      expect(events.at(-1)).toMatchObject({ lines: printed.length });
      await following;
      expect(followed).toEqual(events);
      await client[Symbol.asyncDispose]();

      expect((await eventsOf(next, queued)).at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
      expect(await next.logText(queued)).toContain('at last\n');
    },
  );
});

test('a platform that is stopped once lets the scripts of running jobs go on, says so, and the next start goes on with them', async () => {
  await using folder = await DataFolder.make();
  await using gate = await Gate.create();
  let job: string;
  let ports: string[];
  {
    await using platform = await folder.start();
    await platform.ready();
    job = await submit(platform.client, patientScript(gate));
    for await (const line of platform.client.jobLog(job)) if (line.text === 'step 2') break;
    ports = [platform.url, platform.mlflowUrl].map((address) => new URL(address).port);
    const { code, seconds } = await platform.end('SIGINT');
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(LIMIT_SECONDS);
    expect(platform.log).toContainEqual(expect.stringMatching(/^asgard: 1 running job goes on; the next start/));
    const left = folder.processes().map(({ command }) => command);
    expect(left.filter((command) => !/runner\.py|sandbox\.py|script\.py/.test(command))).toEqual([]);
    expect(left.filter((command) => /runner\.py|script\.py/.test(command))).toHaveLength(2);
  }
  const [PORT, MLFLOW_PORT] = ports;
  await using next = await folder.start({ PORT, MLFLOW_PORT });
  await gate.open();
  const events = await eventsOf(next.client, job);
  expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED', exitCode: 0 });
  const steps = events.flatMap((event) =>
    // MLflow prints where the run can be seen.
    event.__typename === 'LogLine' && event.text.startsWith('step ') ? [event.text] : [],
  );
  expect(steps).toEqual(Array.from({ length: 60 }, (_item, index) => `step ${index}`));
  const metrics = events.flatMap((event) => (event.__typename === 'MetricLogged' ? [event.step] : []));
  expect(metrics).toEqual(Array.from({ length: 60 }, (_item, index) => index));
}, 240_000);

test('a second Ctrl-C that comes when the database cannot be told any more cancels all the same, and nothing runs again', async () => {
  await using folder = await DataFolder.make();
  let job: string;
  let waiting: string;
  {
    await using platform = await folder.start({ ASGARD_WORKER_SLOTS: '2' });
    await platform.ready();
    const input = { scriptName: 'script.py', script: STUBBORN_SCRIPT, experimentName: 'late', modelName: 'unused' };
    job = (await platform.client.submit({ ...input, graceSeconds: 1, retries: 1 })).id;
    for await (const line of platform.client.jobLog(job)) if (line.text === 'tick 3') break;
    const pidOf = (program: string) => folder.processes().find(({ command }) => command.includes(program))?.pid ?? 0;
    // MLflow, which ends behind the platform's clients of the database and before that, takes its time.
    process.kill(pidOf('mlflow_server.py'), 'SIGSTOP');
    // Its script waits for MLflow too, and does not run.
    waiting = await submit(platform.client, 'print("never")');
    await poll(
      () => platform.client.job(waiting),
      ({ status }) => status === 'PREPARING',
    );
    process.kill(platform.pid, 'SIGINT');
    await poll(
      () => folder.processes().map(({ command }) => command),
      (commands) => !commands.some((command) => /^postgres: .* asgard /.test(command)),
    );
    // However long the rest takes here, it is not at its end by then.
    process.kill(platform.pid, 'SIGSTOP');
    process.kill(pidOf('postgres -D'), 'SIGKILL');
    await poll(
      () => pidOf('postgres -D'),
      (pid) => pid === 0,
    );
    process.kill(platform.pid, 'SIGINT');
    const { code } = await platform.end('SIGCONT');
    expect(code).toBe(0);
    expect(platform.log).toContainEqual(expect.stringMatching(/^asgard: 1 running job goes on; the next start/));
    expect(platform.log).toContainEqual(expect.stringContaining('job.cancel_not_stored'));
  }
  await using next = await folder.start();
  const events = await eventsOf(next.client, job);
  expect(await next.client.job(job)).toMatchObject({ status: 'CANCELLED', error: REASON });
  const statuses = events.flatMap((event) => (event.__typename === 'StatusChanged' ? [event.status] : []));
  expect(statuses).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'CANCELLED']);
  const ended = new EndedJob(await next.client.job(waiting), await eventsOf(next.client, waiting));
  expect(ended.job).toMatchObject({ status: 'CANCELLED', error: REASON });
  expect(ended.output).toEqual([]);
}, 240_000);

describe.sequential('a platform that is still starting, for the first time', { timeout: 240_000 }, () => {
  let folder: DataFolder;
  beforeAll(async () => {
    folder = await DataFolder.make();
  });
  afterAll(() => folder?.[Symbol.asyncDispose]());

  // In the order of a start; each of them finds what the one before left half done.
  test.each([
    ['SIGTERM', 'its program is loaded', 'main.ts'],
    ['SIGINT', 'the database is made', 'initdb'],
    ['SIGTERM', 'PostgreSQL starts', 'postgres -D'],
    ['SIGHUP', 'PostgreSQL runs', 'postgres.started'],
    ['SIGINT', 'MLflow starts', 'mlflow_server.py'],
  ] as const)('ends at %s while %s, in good order, and leaves no process', async (signal, _stage, sign) => {
    await using child = await ChildProcess.start({ argv: [process.execPath, MAIN], env: folder.variables() });
    const signs = () => [...folder.processes().map(({ command }) => command), child.tail].join('\n');
    await poll(signs, (seen) => seen.includes(sign));
    // This test may have been too slow to see the last stage before its end.
    const wasStarting = !child.tail.includes(LISTENING);
    process.kill(child.pid, signal);
    const sent = performance.now();
    const ending = await child.exited;
    const seconds = (performance.now() - sent) / 1000;
    console.info(`${signal} at ${sign}: ended after ${seconds.toFixed(1)} s`);
    // Until its handlers are in place, which is before it starts anything, the signal ends it by itself.
    expect([{ code: 0, signal: null }, ...(sign === 'main.ts' ? [{ code: null, signal }] : [])]).toContainEqual(ending);
    expect(seconds).toBeLessThan(LIMIT_SECONDS);
    expect(folder.processes()).toEqual([]);
    expect(child.tail).not.toContain('"level":50');
    if (wasStarting) expect(child.tail).not.toContain(LISTENING);
  });

  test('starts whole after all that; it goes on when nobody reads its log any more, and ends when its terminal closes', async () => {
    const child = spawn(process.execPath, [MAIN], {
      env: folder.variables({ ASGARD_LOG_LEVEL: 'debug' }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = once(child, 'exit');
    const url = await listeningAt(child.stdout);
    child.stdout.destroy();
    child.stderr.destroy();
    await using client = new AsgardClient({ url });
    const events = await eventsOf(client, await submit(client, 'print("unheard")'));
    expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
    process.kill(child.pid ?? 0, 'SIGHUP');
    expect(await exited).toEqual([0, null]);
    expect(folder.processes()).toEqual([]);
  });
});

test('npm start that is asked to end, as a service manager asks it, ends the platform with it', async () => {
  await using folder = await DataFolder.make();
  await using npm = await ChildProcess.start({
    argv: ['npm', 'start'],
    env: folder.variables(),
    cwd: PROJECT_ROOT,
    detached: false,
  });
  await poll(
    () => npm.tail,
    (seen) => seen.includes(LISTENING),
  );
  // npm's own process alone: at a terminal its whole group would get the signal.
  process.kill(npm.pid, 'SIGTERM');
  const sent = performance.now();
  await npm.exited;
  expect((performance.now() - sent) / 1000).toBeLessThan(LIMIT_SECONDS);
  expect(npm.tail).toContain('asgard.stopping');
  expect(folder.processes()).toEqual([]);
}, 240_000);

/** The address in what a platform prints once it listens. */
async function listeningAt(output: Readable): Promise<string> {
  let seen = '';
  for await (const chunk of output.iterator({ destroyOnReturn: false })) {
    seen += String(chunk);
    const url = /GraphiQL\s+(http:\S+)\/graphql/.exec(seen)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error(`it ended before it listened:\n${seen}`);
}

/** Follows all status changes over SSE. `closed` settles when the platform cuts the stream. */
async function openStream(url: string): Promise<{ closed: Promise<void> }> {
  const query = encodeURIComponent('subscription { jobStatusChanges { jobId status } }');
  const response = await fetch(`${url}/graphql?query=${query}`, { headers: { accept: 'text/event-stream' } });
  expect(response.status).toBe(200);
  const closed = response.text().then(
    () => undefined,
    () => undefined,
  );
  return { closed };
}
