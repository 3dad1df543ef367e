import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { ManagedMlflow } from '../../src/embedded/mlflow-server.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { commandLineOfProcess, identityOfProcess } from '../../src/platform/process-identity.ts';

const READY_MS = 120_000;
const python = join(parseConfig(inheritedEnvironment(), false).toolchain, 'python', 'bin', 'python');

let home: string;
let postgres: EmbeddedPostgres;
const options = () => ({
  python,
  databaseUrl: postgres.url('mlflow'),
  artifactsFolder: join(home, 'mlflow', 'artifacts'),
  logFile: join(home, 'logs', 'mlflow.log'),
});

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'asgard-mlflow-'));
  postgres = await EmbeddedPostgres.start({ folder: join(home, 'postgres'), logFile: join(home, 'postgres.log') });
});
afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

/** By node:http, since fetch sets Host itself. */
function send(url: string, headers: Record<string, string>, body: string): Promise<{ status: number; text: string }> {
  return new Promise((done, failed) => {
    const sent = request(
      url,
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        answer.on('end', () => done({ status: answer.statusCode ?? 0, text }));
      },
    );
    sent.on('error', failed);
    sent.end(body);
  });
}

const SEARCH = '/api/2.0/mlflow/experiments/search';

test('start returns before the server answers, ready says when it does, and artifacts go through it', async () => {
  await using mlflow = await ManagedMlflow.start(options());
  await expect(fetch(`${mlflow.url}/health`)).rejects.toThrow();
  await mlflow.ready;
  const found = await send(`${mlflow.url}${SEARCH}`, {}, '{"max_results":5}');
  expect(found.status).toBe(200);
  const { experiments } = JSON.parse(found.text);
  expect(experiments[0]).toMatchObject({ name: 'Default', artifact_location: 'mlflow-artifacts:/0' });

  const path = '/api/2.0/mlflow-artifacts/artifacts/0/note.txt';
  expect((await fetch(`${mlflow.url}${path}`, { method: 'PUT', body: 'kept' })).status).toBe(200);
  expect(await readFile(join(home, 'mlflow', 'artifacts', '0', 'note.txt'), 'utf8')).toBe('kept');
  expect(await (await fetch(`${mlflow.url}${path}`)).text()).toBe('kept');
});

test('it takes requests of browsers and clients that name localhost or 127.0.0.1 with any port, and of nobody else', async () => {
  await using mlflow = await ManagedMlflow.start(options());
  await mlflow.ready;
  const status = async (headers: Record<string, string>) =>
    (await send(`${mlflow.url}${SEARCH}`, headers, '{"max_results":1}')).status;
  for (const host of ['localhost:5000', '127.0.0.1:8000', 'localhost']) {
    expect([host, await status({ host })]).toEqual([host, 200]);
    expect([host, await status({ origin: `http://${host}` })]).toEqual([host, 200]);
  }
  expect(await status({ host: 'evil.example' })).toBe(403);
  expect(await status({ origin: 'http://evil.example' })).toBe(403);
});

test('neither its arguments nor its environment hold what it must not know, and it is one process', async () => {
  process.env['SECRET_OF_THE_PLATFORM'] = 'secret';
  await using mlflow = await ManagedMlflow.start(options());
  delete process.env['SECRET_OF_THE_PLATFORM'];
  await mlflow.ready;
  expect(commandLineOfProcess(mlflow.pid)).not.toContain('postgresql');
  if (process.platform !== 'linux') return;
  const environment = readFileSync(`/proc/${mlflow.pid}/environ`, 'utf8');
  expect(environment).toContain('MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://mlflow:');
  expect(environment).not.toContain('SECRET_OF_THE_PLATFORM');
  const children = readFileSync(`/proc/${mlflow.pid}/task/${mlflow.pid}/children`, 'utf8');
  expect(children.trim()).toBe('');
});

test('a server that dies is started again on the same port', async () => {
  await using mlflow = await ManagedMlflow.start(options());
  await mlflow.ready;
  const { pid } = mlflow;
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => mlflow.pid).not.toBe(pid);
  const health = () => fetch(`${mlflow.url}/health`).then(({ status }) => status, String);
  await expect.poll(health, { timeout: READY_MS, interval: 200 }).toBe(200);
});

test('a server that ends before it answers rejects ready with its own words, and is not tried for ever', async () => {
  await using mlflow = await ManagedMlflow.start({ ...options(), python: process.execPath }); // which is no Python
  await expect(mlflow.ready).rejects.toThrow(
    /the MLflow server ended; .*mlflow\.log ends with:\n.*Unknown file extension/s,
  );
  expect(identityOfProcess(mlflow.pid)).toBeNull();
});

test('an interpreter that does not exist fails the start with what to do', async () => {
  const start = ManagedMlflow.start({ ...options(), python: join(home, 'no-such-python') });
  await expect(start).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('run the set-up'),
  });
});

test('disposing before it is ready ends it, rejects ready, and leaves no record', async () => {
  const mlflow = await ManagedMlflow.start(options());
  const { pid } = mlflow;
  await mlflow[Symbol.asyncDispose]();
  await expect(mlflow.ready).rejects.toThrow(/being stopped/);
  expect(identityOfProcess(pid)).toBeNull();
  expect(await readdir(join(home, 'mlflow'))).toEqual(['artifacts']);
});

test('an Asgard that was killed leaves a server behind, which the next one ends', async () => {
  const module = pathToFileURL(resolve(import.meta.dirname, '../../src/embedded/mlflow-server.ts')).href;
  await using killed = await ChildProcess.start({
    argv: [
      process.execPath,
      '--input-type=module-typescript',
      '-e',
      `import { ManagedMlflow } from ${JSON.stringify(module)};
       const mlflow = await ManagedMlflow.start(${JSON.stringify(options())});
       console.log('pid ' + mlflow.pid);`,
    ],
    env: { PATH: process.env['PATH'] },
  });
  await expect.poll(() => killed.tail).toMatch(/pid \d+\n/);
  const leftover = Number(/pid (\d+)/.exec(killed.tail)?.[1]);
  killed.kill('SIGKILL');
  await killed.exited;
  expect(identityOfProcess(leftover)).not.toBeNull();
  await using _next = await ManagedMlflow.start(options());
  expect(identityOfProcess(leftover)).toBeNull();
});
