import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobEvent } from '../../src/client/client.ts';
import { ManagedMlflow } from '../../src/embedded/mlflow-server.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { DataFolder, type TestPlatform, TOOLCHAIN } from '../support/data-folder.ts';
import { eventsOf, STUBBORN_SCRIPT, submit } from '../support/job-scripts.ts';
import { Gate } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { quietPort } from '../support/quiet-port.ts';

/** A lease, and what a busy machine takes to look for those that are over. */
const TAKE_OVER_MS = 120_000;

/** Passes each connection on to the first port that takes it, as a proxy in front of several platforms does. */
async function startBalancer(ports: number[]): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((client) => {
    client.on('error', () => client.destroy());
    const tryPort = ([port, ...others]: number[]) => {
      if (port === undefined) return void client.destroy();
      const upstream = connect(port, '127.0.0.1');
      upstream.once('error', () => tryPort(others));
      upstream.once('connect', () => {
        upstream.removeAllListeners('error').on('error', () => client.destroy());
        upstream.on('close', () => client.destroy());
        client.on('close', () => upstream.destroy());
        client.pipe(upstream).pipe(client);
      });
    };
    tryPort([...ports]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // a server that listens on TCP has one
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: async () => void server.close() };
}

describe.sequential('platforms on one database, each with a data folder of its own', { timeout: 300_000 }, () => {
  const stack = new AsyncDisposableStack();
  const platforms: TestPlatform[] = [];
  /** The MLflow ports of those that answer. */
  const answering: number[] = [];
  let variables: NodeJS.ProcessEnv;
  let gate: Gate;
  let running: { readonly id: string; readonly owner: TestPlatform }[];
  let survivor: TestPlatform;

  const start = async (slots: number) => {
    const folder = stack.use(await DataFolder.make());
    const MLFLOW_PORT = String(await quietPort());
    answering.unshift(Number(MLFLOW_PORT));
    const platform = stack.use(await folder.start({ ...variables, ASGARD_WORKER_SLOTS: String(slots), MLFLOW_PORT }));
    await platform.ready();
    platforms.push(platform);
    return platform;
  };

  beforeAll(async () => {
    gate = stack.use(await Gate.create());
    const outside = stack.use(await DataFolder.make()).parent;
    const postgres = stack.use(
      await EmbeddedPostgres.start({ folder: join(outside, 'postgres'), logFile: join(outside, 'postgres.log') }),
    );
    const mlflow = stack.use(
      await ManagedMlflow.start({
        python: join(TOOLCHAIN, 'python', 'bin', 'python'),
        databaseUrl: postgres.url('mlflow'),
        artifactsFolder: join(outside, 'artifacts'),
        logFile: join(outside, 'mlflow.log'),
      }),
    );
    await mlflow.ready;
    const balancer = stack.use(await startBalancer(answering));
    variables = {
      DATABASE_URL: postgres.url('asgard'),
      MLFLOW_TRACKING_URI: mlflow.url,
      ASGARD_GATEWAY_URL: balancer.url,
    };
    // Both find an empty database.
    await Promise.all([start(1), start(1)]);
  });
  afterAll(() => stack.disposeAsync());

  const claimsOf = ({ log }: TestPlatform) =>
    log.filter((line) => line.includes('"job.claimed"')).map((line) => JSON.parse(line).jobId as string);

  test('each claim jobs, and no job is claimed twice or runs twice', async () => {
    const [first, second] = platforms as [TestPlatform, TestPlatform];
    // Each has one slot: the second job of those that wait is the other's.
    const script = `${gate.python}\ntell("up " + os.environ["ASGARD_JOB_ID"])\nwait("both")\nprint("once", flush=True)\n`;
    const ids = await Promise.all(
      [first, second, first, second, first, second].map(({ client }) => submit(client, script)),
    );
    await gate.told('up ', 2);
    await gate.open('both');
    for (const id of ids) {
      const events = await eventsOf(second.client, id);
      expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED', lines: 1 });
    }
    const claims = platforms.map(claimsOf);
    expect(claims.flat().toSorted()).toEqual(ids.toSorted());
    for (const each of claims) expect(each).not.toEqual([]);
  });

  test('one that is killed and one that is paused lose their jobs to another, which has each line and metric once', async () => {
    const ids: string[] = [];
    for (const name of ['killed', 'paused']) {
      ids.push(
        await submit(
          platforms[0]?.client as TestPlatform['client'],
          `${gate.python}
import mlflow
with mlflow.start_run():
    step = 0
    while not is_told("open"):
        mlflow.log_metric("step", step, step=step)
        print("${name}", step, flush=True)
        step += 1
        time.sleep(0.2)
`,
        ),
      );
    }
    running = await poll(
      () =>
        ids.flatMap((id) => {
          const owner = platforms.find((platform) => claimsOf(platform).includes(id));
          return owner === undefined ? [] : [{ id, owner }];
        }),
      (found) => found.length === 2,
    );
    const [killed, paused] = running.map(({ owner }) => owner) as [TestPlatform, TestPlatform];
    expect(killed).not.toBe(paused);
    for (const { id, owner } of running)
      for await (const line of owner.client.jobLog(id)) if (line.text.endsWith(' 3')) break;
    survivor = await start(4);
    // Their ports: the paused one would take connections and never answer.
    answering.splice(1);
    await killed.end('SIGKILL');
    process.kill(paused.pid, 'SIGSTOP');
    await poll(
      () => survivor.log.filter((line) => line.includes('"job.taken_over"')),
      (lines) => ids.every((id) => lines.some((line) => line.includes(id))),
      TAKE_OVER_MS,
    );
    await gate.open();
    for (const id of ids) {
      const events = await eventsOf(survivor.client, id);
      expectWhole(events);
    }
  });

  test('the one that was paused writes nothing when it goes on, and works again', async () => {
    const [, { id, owner }] = running as [unknown, (typeof running)[number]];
    const before = await eventsOf(survivor.client, id);
    process.kill(owner.pid, 'SIGCONT');
    const next = await submit(owner.client, 'print("works")');
    expect((await eventsOf(owner.client, next)).at(-1)).toMatchObject({ status: 'COMPLETED' });
    await poll(
      () => owner.log.filter((line) => line.includes(id) && /job\.(released|ended)/.test(line)),
      (lines) => lines.length > 0,
    );
    expect(await eventsOf(owner.client, id)).toEqual(before);
    expect(await owner.client.job(id)).toMatchObject({ status: 'COMPLETED' });
  });

  test('a second signal ends one within its 10 s, though its script may take longer, and another ends the job', async () => {
    const { owner } = running[1] as (typeof running)[number];
    const input = { scriptName: 'stubborn.py', script: STUBBORN_SCRIPT, experimentName: 'two', modelName: 'unused' };
    const { id } = await owner.client.submit({ ...input, graceSeconds: 60 });
    const host = await poll(
      () => [owner, survivor].find((platform) => claimsOf(platform).includes(id)),
      (found) => found !== undefined,
    );
    if (host === undefined) throw new Error('nobody claimed it');
    const other = host === owner ? survivor : owner;
    for await (const line of host.client.jobLog(id)) if (line.text === 'tick 3') break;
    const { code, seconds } = await host.endTwice('SIGINT', 'SIGTERM');
    console.info(`the platform ended after ${seconds.toFixed(1)} s`);
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(10);
    expect((await eventsOf(other.client, id)).at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'CANCELLED' });
  });
});

/** That a job ended well, with every line and every metric once and in order, and without a hole. */
function expectWhole(events: readonly JobEvent[]): void {
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_event, index) => index + 1));
  const steps = events.flatMap((event) =>
    event.__typename === 'LogLine' && /^(killed|paused) /.test(event.text) ? [Number(event.text.split(' ')[1])] : [],
  );
  const metrics = events.flatMap((event) => (event.__typename === 'MetricLogged' ? [event.step] : []));
  expect(steps.length).toBeGreaterThan(3);
  expect(steps).toEqual(steps.map((_step, index) => index));
  expect(metrics).toEqual(steps);
  expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED', exitCode: 0 });
}
