import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChildProcess } from '../../src/platform/process.ts';
import { DataFolder, MAIN, type TestPlatform } from '../support/data-folder.ts';
import { eventsOf, MODEL_SCRIPT, submit } from '../support/job-scripts.ts';
import { poll } from '../support/poll.ts';

/** What a platform of this folder runs beside itself when it is idle. */
const SERVERS = ['mlflow_server.py', 'postgres -D'];

let folder: DataFolder;
beforeAll(async () => {
  folder = await DataFolder.make();
});
afterAll(() => folder?.[Symbol.asyncDispose]());

describe.sequential('kill -9 leaves nothing that the next start does not end', { timeout: 300_000 }, () => {
  test.each([
    ['the database is being made', 'initdb'],
    ['PostgreSQL starts', 'postgres -D'],
    ['MLflow starts', 'mlflow_server.py'],
  ])('when %s', async (_moment, program) => {
    const { pid, exited } = await ChildProcess.start({ argv: [process.execPath, MAIN], env: folder.variables() });
    const left = await killed({ pid, ended: async () => ({ ...(await exited), seconds: 0 }) }, program);
    await using next = await folder.start();
    await next.ready();
    const servers = () => commands().filter((command) => SERVERS.some((name) => command.includes(name)));
    // What a server forks bears its arguments until it says what it is.
    await poll(servers, (found) => found.length === SERVERS.length);
    await gone(left);
    expect(await next.end('SIGTERM')).toMatchObject({ code: 0 });
    await poll(commands, (found) => found.length === 0);
  });

  test('when a launcher imports, and when a model is served', async () => {
    await using first = await folder.start();
    await first.ready();
    const jobId = await submit(first.client, MODEL_SCRIPT, 'served');
    const withLauncher = await killed(first, 'launcher.py');
    // A compiled model has no process.
    await using second = await folder.start({ ASGARD_COMPILE: '0' });
    await gone(withLauncher);
    expect((await eventsOf(second.client, jobId)).at(-1)).toMatchObject({ status: 'COMPLETED' });
    expect(await predict(second.url)).toBe(200);
    const withWorker = await killed(second, 'model_process.py');
    await using third = await folder.start();
    expect([third.url, third.mlflowUrl]).toEqual([first.url, first.mlflowUrl]);
    await gone(withWorker);
    await third.ready();
    expect(await predict(third.url)).toBe(200);
    await third.end('SIGTERM');
    await gone(folder.processes().map(({ pid }) => pid));
  });
});

/** Kills a platform as soon as such a program of its own is seen. @returns what is left, apart from a job that goes on */
async function killed({ pid, ended }: Pick<TestPlatform, 'pid' | 'ended'>, program: string): Promise<number[]> {
  await poll(commands, (found) => found.some((command) => command.includes(program)));
  process.kill(pid, 'SIGKILL');
  await ended();
  const left = folder.processes().filter(({ command }) => !/runner\.py|script\.py|\/home\/jobs\//.test(command));
  return left.map((each) => each.pid);
}

/** Resolves when none of them runs. */
async function gone(pids: readonly number[]): Promise<void> {
  const running = () => folder.processes().filter(({ pid }) => pids.includes(pid));
  await poll(running, (found) => found.length === 0);
}

async function predict(url: string): Promise<number> {
  const answer = await fetch(`${url}/mlops/inference`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model_name: 'served', inputs: { x: [3] } }),
  });
  return answer.status;
}

function commands(): string[] {
  return folder.processes().map(({ command }) => command);
}
