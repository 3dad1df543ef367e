import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobEvent } from '../../src/client/client.ts';
import { DataFolder, type TestPlatform } from '../support/data-folder.ts';
import { eventsOf, STUBBORN_SCRIPT, submit } from '../support/job-scripts.ts';
import { EndedJob, Gate } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';

const LOGGING_SCRIPT = `
import time, mlflow
with mlflow.start_run():
    for step in range(12):
        mlflow.log_metric("step", step, step=step)
        print("logged", step, flush=True)
        time.sleep(0.2)
`;

const LIMIT_MS = 300_000;
/** In MiB. */
const LOW_LIMIT = { ASGARD_OUTPUT_LIMIT: '1' };
const CHATTY_LINES = 100_000;
const chattyScript = (gate: Gate) => `${gate.python}
print("first", flush=True)
wait()
for i in range(${CHATTY_LINES}):
    print(i, "x" * 90)
sys.stdout.flush()
tell("all printed")
`;

let folder: DataFolder;
beforeAll(async () => {
  folder = await DataFolder.make();
});
afterAll(() => folder?.[Symbol.asyncDispose]());

describe.sequential('after kill -9 of the platform while a job ran', { timeout: LIMIT_MS }, () => {
  const seen: JobEvent[] = [];
  let jobId: string;
  let chattyId: string;
  let next: TestPlatform;
  afterAll(() => next?.[Symbol.asyncDispose]());

  test('the next start takes the data folder over and puts servers of its own in place of those left behind', async () => {
    await using gate = await Gate.create();
    await using platform = await folder.start(LOW_LIMIT);
    await platform.ready();
    chattyId = await submit(platform.client, chattyScript(gate));
    await followUntil(platform, chattyId, 'first');
    jobId = await submit(platform.client, STUBBORN_SCRIPT);
    await followUntil(platform, jobId, 'tick 5', seen);
    const [postgres, mlflow] = [await pidOf('postgres -D'), await pidOf('mlflow_server.py')];
    expect(await platform.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
    expect(pidsOf('runner.py')).toHaveLength(2);
    await gate.open();
    await gate.told('all printed');

    // The folder under another name is still the same folder.
    const ASGARD_HOME = `${folder.path}-link`;
    await symlink(folder.path, ASGARD_HOME);
    next = await folder.start({ ASGARD_HOME, ...LOW_LIMIT });
    await next.ready();
    expect(pidsOf('postgres -D')).not.toContain(postgres);
    expect(pidsOf('mlflow_server.py')).not.toContain(mlflow);
    expect(await pidOf('main.ts')).toBe(next.pid);
    for (const server of ['postgres -D', 'mlflow_server.py']) await pidOf(server);
  });

  test('MLflow, killed too, comes back by itself: the status says when it is away, and no job fails for it', async () => {
    const { client, url } = next;
    const logging = await submit(client, LOGGING_SCRIPT);
    await followUntil(next, logging, 'logged 3');
    const killed = await pidOf('mlflow_server.py');
    process.kill(killed, 'SIGKILL');
    // However slow this test is, the one that comes in its place is slower.
    const [successor = 0] = await poll(
      () => pidsOf('mlflow_server.py').filter((pid) => pid !== killed),
      (pids) => pids.length > 0,
    );
    process.kill(successor, 'SIGSTOP');
    const submitted = await submit(client, 'import mlflow\nmlflow.log_metric("after", 1)\nprint("done")');
    // The one face and the other, before it is back.
    await poll(
      () => Promise.all([client.status(), fetch(`${url}/mlops/status`).then((answer) => answer.json())]),
      ([{ mlflowAvailable, ready }, rest]) => !mlflowAvailable && !ready && !rest.mlflow_available,
    );
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    process.kill(successor, 'SIGCONT');

    await next.ready();
    expect(await pidOf('mlflow_server.py')).toBe(successor);
    for (const id of [logging, submitted]) {
      expect((await eventsOf(client, id)).at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
    }
    const metrics = (await eventsOf(client, logging)).filter((event) => event.__typename === 'MetricLogged');
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_item, step) => step));
  });

  test('a job that printed more than is kept meanwhile has its beginning and its end, which are proven', async () => {
    const ended = new EndedJob(await next.client.job(chattyId), await eventsOf(next.client, chattyId));
    expect(ended.ending).toMatchObject({ status: 'COMPLETED', lines: CHATTY_LINES + 1 });
    const { lines: keptLines, bytes: keptBytes, sha256: keptSha256 } = ended.proof;
    expect(ended.ending).toMatchObject({ keptLines, keptBytes, keptSha256 });
    expect(keptBytes).toBeLessThanOrEqual(2 ** 20);
    expect(keptBytes).toBeGreaterThan(0.75 * 2 ** 20);
    const { lines, bytes } = ended.ending;
    expect(ended.of('OutputOmitted')).toMatchObject([{ lines: lines - keptLines, bytes: bytes - keptBytes }]);
    expect(ended.stdout.slice(0, 2)).toEqual(['first', expect.stringMatching(/^0 x/)]);
    expect(ended.stdout.at(-1)).toMatch(new RegExp(`^${CHATTY_LINES - 1} x`));
  });

  test('the job goes on as if nothing had been: its script, every line once, its tracking, its cancel', async () => {
    const { client } = next;
    const [last = ''] = linesOf(seen).slice(-1);
    const events: JobEvent[] = [];
    await followUntil(next, jobId, `tick ${Number(last.split(' ')[1]) + 50}`, events);
    expect(await client.job(jobId)).toMatchObject({ status: 'RUNNING' });
    expect(events.slice(0, seen.length)).toEqual(seen);
    await client.cancel(jobId, 'enough');
    const all = await eventsOf(client, jobId);
    expect(all.map(({ sequence }) => sequence)).toEqual(all.map((_event, index) => index + 1));
    const ticks = linesOf(all).filter((text) => text.startsWith('tick'));
    expect(ticks).toEqual(ticks.map((_text, index) => `tick ${index}`));
    expect(all.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'CANCELLED', lines: ticks.length + 1 });
    // The runner has written its last frame before it ends.
    await poll(
      () => [...pidsOf('runner.py'), ...pidsOf('script.py'), ...pidsOf('signal.SIG_IGN')],
      (pids) => pids.length === 0,
    );
    expect(await next.end('SIGTERM')).toMatchObject({ code: 0 });
    expect(folder.processes()).toEqual([]);
  });
});

test(
  'a platform whose PostgreSQL was killed says so in one line and ends, and the next start recovers',
  async () => {
    await using platform = await folder.start();
    await platform.ready();
    const jobId = await submit(platform.client, STUBBORN_SCRIPT);
    const seen: JobEvent[] = [];
    await followUntil(platform, jobId, 'tick 5', seen);
    process.kill(await pidOf('postgres -D'), 'SIGKILL');
    const { code, seconds } = await platform.ended();
    console.info(`PostgreSQL killed: the platform ended after ${seconds.toFixed(1)} s`);
    expect(code).toBe(1);
    expect(seconds).toBeLessThan(10);
    expect(platform.log.filter((line) => /^asgard: PostgreSQL .*postgres\.log/.test(line))).toHaveLength(1);
    // The backends end when they see that their server is gone.
    await poll(
      () => folder.processes().filter(({ command }) => !/runner\.py|sandbox\.py|script\.py|SIG_IGN/.test(command)),
      (left) => left.length === 0,
    );

    await using next = await folder.start();
    const stored: JobEvent[] = [];
    await followUntil(next, jobId, 'tick 60', stored);
    expect(stored.slice(0, seen.length)).toEqual(seen);
    await next.client.cancel(jobId);
    expect((await eventsOf(next.client, jobId)).at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'CANCELLED' });
    expect(JSON.parse(await readFile(join(folder.path, 'lock'), 'utf8'))).toMatchObject({ pid: next.pid });
  },
  LIMIT_MS,
);

/** Follows a job until it prints `line`; what happened until then is added to `events`. */
async function followUntil({ client }: TestPlatform, id: string, line: string, events: JobEvent[] = []): Promise<void> {
  for await (const event of client.jobEvents(id)) {
    events.push(event);
    if (event.__typename === 'LogLine' && event.text === line) return;
  }
  throw new Error(`the job ended without ${JSON.stringify(line)}`);
}

/** What a job's script printed. */
function linesOf(events: readonly JobEvent[]): string[] {
  return events.flatMap((event) => (event.__typename === 'LogLine' && event.stream !== 'PLATFORM' ? [event.text] : []));
}

function pidsOf(program: string): number[] {
  return folder.processes().flatMap(({ pid, command }) => (command.includes(program) ? [pid] : []));
}

/** Of the only process that runs it. What it forks bears its arguments, too, until it says what it is, or is another program. */
async function pidOf(program: string): Promise<number> {
  const [pid = 0] = await poll(
    () => pidsOf(program),
    (pids) => pids.length === 1,
  );
  return pid;
}
