import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROJECT_ROOT, parseConfig } from '../../src/config.ts';
import { DataFolder, type Finished, MAIN } from '../support/data-folder.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { poll } from '../support/poll.ts';
import type { FoundProcess } from '../support/processes.ts';

const SETUP = join(PROJECT_ROOT, 'scripts', 'setup.mjs');
const LIMIT_MS = 240_000;
const quiet = { ASGARD_LOG_LEVEL: 'warn' };

let folder: DataFolder;
beforeAll(async () => {
  folder = await DataFolder.make();
});
afterAll(() => folder?.[Symbol.asyncDispose]());

/** What a start that failed says, which must be a single line, and that it left nothing running. */
function onlyLine({ stdout, stderr }: Finished): string {
  expect(folder.processes()).toEqual([]);
  expect(stdout).toBe('');
  const lines = stderr.split('\n').filter((line) => line !== '');
  expect(lines).toHaveLength(1);
  return lines.join();
}

describe('a start that cannot succeed says why in one line', { timeout: LIMIT_MS }, () => {
  test.each(['PORT', 'MLFLOW_PORT'])('when %s is in use', async (variable) => {
    // What listens there need not speak HTTP.
    await using other = createServer((socket) => socket.end('garbage\r\n'));
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo; // it listens on TCP
    const ASGARD_HOME = join(folder.parent, variable);
    const ended = await folder.run({ ...quiet, ASGARD_HOME, [variable]: String(port) });
    expect(ended.code).toBe(1);
    // Before anything is started.
    expect(await readdir(ASGARD_HOME)).not.toContain('postgres');
    expect(onlyLine(ended)).toMatch(
      new RegExp(`^asgard: port ${port} on 127\\.0\\.0\\.1 is in use: .* set ${variable} `),
    );
  });

  test('when another Asgard uses the data folder, which goes on undisturbed', async () => {
    await using first = await folder.start();
    const ended = await folder.run(quiet);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toBe(
      `asgard: the data folder ${folder.path} is in use by process ${first.pid}; stop it or set ASGARD_HOME\n`,
    );
    expect((await fetch(`${first.url}/healthz`)).status).toBe(200);
  });

  test('when the data folder cannot be made', async () => {
    const file = join(folder.parent, 'file');
    await writeFile(file, '');
    const ended = await folder.run({ ...quiet, ASGARD_HOME: join(file, 'home') });
    expect(ended.code).toBe(1);
    expect(onlyLine(ended)).toMatch(/^asgard: the data folder .*\/file\/home .*ASGARD_HOME/);
  });

  test('when the data folder is where the system lets nobody make one', async () => {
    const ended = await folder.run({ ...quiet, ASGARD_HOME: '/proc/asgard/home' });
    expect(ended.code).toBe(1);
    expect(onlyLine(ended)).toMatch(/^asgard: the data folder \/proc\/asgard\/home .*ASGARD_HOME/);
  });

  test('when something else lies where the database goes, which is left as it is', async () => {
    const ASGARD_HOME = join(folder.parent, 'taken');
    const file = join(ASGARD_HOME, 'postgres', 'thesis.txt');
    await mkdir(join(ASGARD_HOME, 'postgres'), { recursive: true });
    await writeFile(file, 'mine');
    const ended = await folder.run({ ...quiet, ASGARD_HOME });
    expect(ended.code).toBe(1);
    expect(onlyLine(ended)).toMatch(/^asgard: .*\/taken\/postgres is no PostgreSQL cluster .* move it away/);
    expect(await readFile(file, 'utf8')).toBe('mine');
  });

  test('when the password of the database is gone', async () => {
    const ASGARD_HOME = join(folder.parent, 'locked-out');
    await mkdir(join(ASGARD_HOME, 'postgres'), { recursive: true });
    await writeFile(join(ASGARD_HOME, 'postgres', 'PG_VERSION'), '18\n');
    const ended = await folder.run({ ...quiet, ASGARD_HOME });
    expect(ended.code).toBe(1);
    expect(onlyLine(ended)).toMatch(/^asgard: .*\/locked-out\/postgres\.json, .* is missing or damaged: restore it/);
  });

  test('when the database of DATABASE_URL does not answer, and does not show its password', async () => {
    const ended = await folder.run({ ...quiet, DATABASE_URL: 'postgresql://me:secret@127.0.0.1:1/asgard' });
    expect(ended.code).toBe(1);
    const line = onlyLine(ended);
    expect(line).toMatch(/^asgard: .*DATABASE_URL/);
    expect(line).not.toContain('secret');
  });

  test('when the toolchain is missing, also where only jobs would need it', async () => {
    const ASGARD_TOOLCHAIN = join(folder.parent, 'nothing');
    const managed = await folder.run({ ...quiet, ASGARD_TOOLCHAIN });
    expect(managed.code).toBe(1);
    expect(onlyLine(managed)).toMatch(/^asgard: .*\/nothing.* run .*set-?up/);
    const external = { DATABASE_URL: 'postgresql://me@127.0.0.1:1/asgard', MLFLOW_TRACKING_URI: 'http://127.0.0.1:1' };
    const ended = await folder.run({ ...quiet, ...external, ASGARD_TOOLCHAIN });
    expect(ended.code).toBe(1);
    expect(onlyLine(ended)).toMatch(/^asgard: .*\/nothing.* run .*set-?up/);
  });

  test('when there is no Python for the set-up, with exit code 2', async () => {
    const PATH = join(folder.parent, 'empty');
    await mkdir(PATH);
    const ended = await folder.run({ PATH, ASGARD_PYTHON: undefined, ASGARD_TOOLCHAIN: join(PATH, 'toolchain') }, [
      SETUP,
    ]);
    expect(ended.code).toBe(2);
    expect(onlyLine(ended)).toMatch(/^set-up: a Python from 3\.10 to 3\.13 is needed .* ASGARD_PYTHON/);
  });
});

describe('a bad configuration', () => {
  test('is refused with exit code 2 and every problem of it', async () => {
    const ended = await folder.run({
      PORT: 'x',
      MLFLOW_PORT: '70000',
      HOST: '0.0.0.0',
      ASGARD_API_KEY: '',
      DATABASE_URL: 'mysql://127.0.0.1/asgard',
      MLFLOW_TRACKING_URI: 'file:///tmp/mlruns',
      ASGARD_WORKER_SLOTS: '0',
      ASGARD_LOG_LEVEL: 'loud',
      ASGARD_LOG_FORMAT: 'xml',
    });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    const [title, ...problems] = ended.stderr.trimEnd().split('\n');
    expect(title).toBe('asgard: bad configuration:');
    expect(problems.map((line) => /^ {2}(\w+): .+/.exec(line)?.[1]).toSorted()).toEqual([
      'ASGARD_LOG_FORMAT',
      'ASGARD_LOG_LEVEL',
      'ASGARD_WORKER_SLOTS',
      'DATABASE_URL',
      'HOST',
      'MLFLOW_PORT',
      'MLFLOW_TRACKING_URI',
      'PORT',
    ]);
    expect(folder.processes()).toEqual([]);
  });

  test.each([
    [{ PORT: '8123', MLFLOW_PORT: '8123' }, 'MLFLOW_PORT: must differ from PORT, which is 8123'],
    [{ PORT: '5000', MLFLOW_PORT: '' }, 'MLFLOW_PORT: must differ from PORT, which is 5000'],
    [{ PORT: ' ' }, 'PORT: '],
    [{ PORT: '0x50' }, 'PORT: '],
    [{ ASGARD_WORKER_SLOTS: '1e2' }, 'ASGARD_WORKER_SLOTS: '],
  ])('%j is one', (variables, problem) => {
    expect(() => parseConfig(variables, false)).toThrow(`bad configuration:\n  ${problem}`);
  });

  test('does not keep --help from being shown, with exit code 0', async () => {
    const ended = await folder.run({ PORT: 'x' }, [MAIN, '--help']);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    for (const variable of ['PORT', 'MLFLOW_PORT', 'ASGARD_HOME', 'DATABASE_URL', 'ASGARD_TOOLCHAIN']) {
      expect(ended.stdout).toMatch(new RegExp(`^ {2}${variable} `, 'm'));
    }
  });

  test('an argument that is not known is refused, with exit code 2', async () => {
    const ended = await folder.run({}, [MAIN, '--port=9000']);
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringMatching(/^asgard: .*--port=9000.*--help/) });
  });
});

test('requests to predict are read up to ASGARD_REQUEST_LIMIT, by every face, and refused beyond it', {
  timeout: LIMIT_MS,
}, async () => {
  await using platform = await folder.start({ ...quiet, ASGARD_REQUEST_LIMIT: '20' });
  const statusOf = async (path: string, megabytes: number) => {
    const body = `{}${' '.repeat(megabytes * 2 ** 20)}`;
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${platform.url}${path}`, { method: 'POST', headers, body });
    return { status: answer.status, body: await answer.text() };
  };
  for (const path of ['/mlops/inference', '/mlops/models/m/invocations', '/v2/models/m/infer', '/graphql']) {
    // More than are read when nothing is said; what is in it is wrong.
    expect([path, (await statusOf(path, 17)).status]).toEqual([path, expect.toSatisfy((status) => status !== 413)]);
    expect(await statusOf(path, 20), path).toEqual({
      status: 413,
      body: expect.stringMatching(/larger than 20971520 bytes.*ASGARD_REQUEST_LIMIT/),
    });
  }
});

test(
  'a second start answers while MLflow still starts, says so, and keeps jobs until it is ready',
  async () => {
    await (await folder.start()).end('SIGTERM');
    const starting = folder.start();
    starting.catch(() => {}); // of a test that has failed before nobody looks at it
    // However slow this test is, MLflow is slower.
    const mlflow = await poll(
      () => folder.processes().find(({ command }) => command.includes('mlflow_server.py'))?.pid ?? 0,
      (pid) => pid > 0,
    );
    process.kill(mlflow, 'SIGSTOP');
    await using platform = await starting;
    expect((await fetch(`${platform.url}/healthz`)).status).toBe(200);

    const early = await fetch(`${platform.url}/readyz`);
    expect(early.status).toBe(503);
    expect(await early.json()).toEqual({ ready: false, not_ready: expect.arrayContaining(['mlflow: is starting']) });
    expect(await platform.client.status()).toMatchObject({ ready: false, mlflowAvailable: false });
    const job = await submit(platform.client, 'import mlflow\nmlflow.log_metric("early", 1)\nprint("done")');

    const said = (event: string) => platform.log.some((line) => line.includes(event));
    expect(said('asgard.ready')).toBe(false);
    process.kill(mlflow, 'SIGCONT');
    await platform.ready();
    await poll(() => said('asgard.ready'), Boolean);
    // MLflow counts as away when it takes longer than 3 s to answer, which it may on a busy machine.
    await poll(
      async () => (await fetch(`${platform.url}/readyz`)).text(),
      (text) => text === '{"ready":true,"not_ready":[]}',
    );
    const events = await eventsOf(platform.client, job);
    expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
    expect(events).toContainEqual(expect.objectContaining({ __typename: 'MetricLogged', key: 'early' }));
    expect(await platform.end('SIGTERM')).toMatchObject({ code: 0 });
    expect(said('asgard.stopped')).toBe(true);
    expect(folder.processes()).toEqual([]);
  },
  LIMIT_MS,
);

test.runIf(process.platform === 'linux')(
  'a platform that had a moment has a warm process before any job, which jobs are started from',
  async () => {
    await using platform = await folder.start();
    await platform.ready();
    await poll(
      () => folder.processes().some(isWarmLauncher),
      (isThere) => isThere,
      LIMIT_MS,
    );
    // The platform is told a moment later than it is seen here; and on a busy machine a start from it may come too late.
    const isWarm = async () => {
      const job = await submit(platform.client, 'import sys\nprint("warm", "mlflow" in sys.modules)');
      expect((await eventsOf(platform.client, job)).at(-1)).toMatchObject({ status: 'COMPLETED' });
      return (await platform.client.logText(job)).includes('warm True');
    };
    await poll(isWarm, (is) => is, LIMIT_MS);
    expect(await platform.end('SIGTERM')).toMatchObject({ code: 0 });
    expect(folder.processes()).toEqual([]);
  },
  LIMIT_MS,
);

/** A launcher that has imported everything ignores SIGCHLD. */
function isWarmLauncher({ pid, command }: FoundProcess): boolean {
  if (!command.includes('launcher.py')) return false;
  const [, ignored = '0'] = /^SigIgn:\s*(\w+)$/m.exec(statusOf(pid)) ?? [];
  return (BigInt(`0x${ignored}`) & (1n << BigInt(constants.signals.SIGCHLD - 1))) !== 0n;
}

/** Empty for a process that has ended. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}
