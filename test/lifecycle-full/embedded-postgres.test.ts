import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { chooseAccount } from '../../src/embedded/unprivileged.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { identityOfProcess } from '../../src/platform/process-identity.ts';

let home: string;
beforeEach(async () => {
  // Only the caller can enter it: the mode that mkdtemp gives.
  home = await mkdtemp(join(tmpdir(), 'asgard-postgres-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const options = () => ({ folder: join(home, 'data', 'postgres'), logFile: join(home, 'data', 'logs', 'postgres.log') });

async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function postmasterPid(): Promise<number> {
  return Number.parseInt(await readFile(join(options().folder, 'postmaster.pid'), 'utf8'), 10);
}

test('a cluster is made in a folder that only its owner can enter, and keeps its data', async () => {
  await chmod(home, 0o700);
  {
    await using first = await EmbeddedPostgres.start(options());
    await query(first.url('asgard'), `CREATE TABLE kept (word text); INSERT INTO kept VALUES ('grün ✓')`);
    expect((await stat(`${options().folder}.json`)).mode & 0o777).toBe(0o600);
    expect((await stat(options().folder)).mode & 0o777).toBe(0o700);
  }
  await using second = await EmbeddedPostgres.start(options());
  expect(await query(second.url('asgard'), 'SELECT word, upper(word) AS loud FROM kept')).toEqual([
    { word: 'grün ✓', loud: 'GRÜN ✓' },
  ]);
});

test('each database has an owner that cannot enter the other, and a wrong password is refused', async () => {
  await using postgres = await EmbeddedPostgres.start(options());
  expect(await query(postgres.url('mlflow'), 'SELECT current_user::text AS me')).toEqual([{ me: 'mlflow' }]);
  const crossed = new URL(postgres.url('mlflow'));
  crossed.pathname = '/asgard';
  await expect(query(crossed.href, 'SELECT 1')).rejects.toMatchObject({ code: '42501' });
  const wrong = new URL(postgres.url('asgard'));
  wrong.password = 'wrong';
  await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  expect(await query(postgres.url('postgres'), `SELECT current_setting('is_superuser') AS super`)).toEqual([
    { super: 'on' },
  ]);
});

test('a UNIX socket in the cluster, which others cannot enter, lets in who knows the password', async () => {
  await using postgres = await EmbeddedPostgres.start(options());
  const asked = `SELECT current_user::text AS me, inet_server_addr()::text AS address`;
  expect(await query(postgres.socketUrl('features'), asked)).toEqual([{ me: 'features', address: null }]);
  expect(await query(postgres.url('features'), asked)).toEqual([{ me: 'features', address: '127.0.0.1/32' }]);
  const wrong = new URL(postgres.socketUrl('postgres'));
  wrong.password = 'wrong';
  await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  expect(decodeURIComponent(wrong.hostname)).toBe(options().folder);
  expect((await stat(options().folder)).mode & 0o777).toBe(0o700);
});

test('a cluster whose path is too long for a socket, or full of signs, is reached all the same', async () => {
  for (const [name, address] of [
    ['x'.repeat(100), '127.0.0.1/32'],
    ["a, b'ü%20?", null],
  ] as const) {
    const folder = join(home, name, 'postgres');
    await using postgres = await EmbeddedPostgres.start({ folder, logFile: join(home, name, 'log') });
    const answer = await query(postgres.socketUrl('asgard'), 'SELECT inet_server_addr()::text AS address');
    expect(answer).toEqual([{ address }]);
  }
});

test('disposing ends the server while clients are connected, and waits for none of them', async () => {
  const postgres = await EmbeddedPostgres.start(options());
  const client = new pg.Client({ connectionString: postgres.url('asgard') });
  client.on('error', () => undefined);
  await client.connect();
  const sleeping = client.query('SELECT pg_sleep(600)').catch((error: unknown) => error);
  const pid = await postmasterPid();
  await postgres[Symbol.asyncDispose]();
  expect(identityOfProcess(pid)).toBeNull();
  expect(await sleeping).toBeInstanceOf(Error);
});

test('a cluster whose making was cut short is made anew', async () => {
  const { folder } = options();
  await mkdir(join(`${folder}.new`, 'cluster'), { recursive: true });
  await writeFile(join(`${folder}.new`, 'cluster', 'PG_VERSION'), '18\n');
  await using postgres = await EmbeddedPostgres.start(options());
  expect(await query(postgres.url('asgard'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('a folder with something else in it is left alone', async () => {
  const { folder } = options();
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'precious.txt'), 'mine');
  await expect(EmbeddedPostgres.start(options())).rejects.toThrow(/is no PostgreSQL cluster and is not empty/);
  expect(await readFile(join(folder, 'precious.txt'), 'utf8')).toBe('mine');
});

test('another port is taken when a stranger listens on the one of the last start', async () => {
  let port = 0;
  {
    await using first = await EmbeddedPostgres.start(options());
    port = first.port;
  }
  const stranger = createServer((socket) => socket.destroy());
  await new Promise<void>((done) => stranger.listen(port, '127.0.0.1', done));
  try {
    await using second = await EmbeddedPostgres.start(options());
    expect(second.port).not.toBe(port);
  } finally {
    stranger.close();
  }
});

test('an Asgard that was killed leaves a server behind, which the next one ends before it recovers the data', async () => {
  const module = pathToFileURL(resolve(import.meta.dirname, '../../src/embedded/postgres.ts')).href;
  await using killed = await ChildProcess.start({
    argv: [
      process.execPath,
      '--input-type=module-typescript',
      '-e',
      `import { EmbeddedPostgres } from ${JSON.stringify(module)};
       const postgres = await EmbeddedPostgres.start(${JSON.stringify(options())});
       console.log(postgres.url('asgard'));
       setInterval(() => {}, 1000);`,
    ],
    env: { PATH: process.env['PATH'] },
  });
  await expect.poll(() => killed.tail).toMatch(/^postgresql:.*\n/);
  await query(killed.tail.trim(), `CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')`);
  const leftover = await postmasterPid();
  killed.kill('SIGKILL');
  await killed.exited;
  expect(identityOfProcess(leftover)).not.toBeNull();

  await using next = await EmbeddedPostgres.start(options());
  expect(identityOfProcess(leftover)).toBeNull();
  expect(await query(next.url('asgard'), 'SELECT word FROM kept')).toEqual([{ word: 'here' }]);
});

test('a server that was killed itself is recovered', async () => {
  {
    await using first = await EmbeddedPostgres.start(options());
    await query(first.url('asgard'), `CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')`);
    process.kill(await postmasterPid(), 'SIGKILL');
    expect((await first.exited).signal).toBe('SIGKILL');
  }
  await using next = await EmbeddedPostgres.start(options());
  expect(await query(next.url('asgard'), 'SELECT word FROM kept')).toEqual([{ word: 'here' }]);
});

test('a lock file that names a stranger is not believed, and the stranger lives', async () => {
  {
    await using _first = await EmbeddedPostgres.start(options());
  }
  await using stranger = await ChildProcess.start({
    argv: [process.execPath, '-e', 'setInterval(() => {}, 1000)'],
    env: {},
  });
  const { port } = z.object({ port: z.int() }).parse(JSON.parse(await readFile(`${options().folder}.json`, 'utf8')));
  for (const name of ['postmaster.pid', `.s.PGSQL.${port}.lock`]) {
    await writeFile(join(options().folder, name), `${stranger.pid}\n${options().folder}\n1\n`, { mode: 0o600 });
  }
  await using next = await EmbeddedPostgres.start(options());
  expect(next.port).toBe(port);
  expect(await query(next.socketUrl('asgard'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  expect(identityOfProcess(stranger.pid)).not.toBeNull();
});

test('a start that is aborted leaves no server', async () => {
  await expect(EmbeddedPostgres.start({ ...options(), signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  await using postgres = await EmbeddedPostgres.start(options());
  expect(await query(postgres.url('asgard'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('the account that stands in for root is PostgreSQL’s own where there is one, and never root', () => {
  const line = (name: string, id: number) => `${name}:x:${id}:${id}:::`;
  expect(chooseAccount([line('root', 0), line('bin', 2), line('nobody', 65_534)].join('\n'))?.name).toBe('nobody');
  expect(chooseAccount([line('nobody', 65_534), line('postgres', 101)].join('\n'))?.name).toBe('postgres');
  expect(chooseAccount([line('root', 0), line('bin', 2)].join('\n'))?.name).toBe('bin');
  expect(chooseAccount(line('root', 0))).toBeUndefined();
});

// Where a container forbids user namespaces to root, another account has to do; both can be had here only by root.
const isRoot = process.getuid?.() === 0;
const canSetPrivileges = isRoot && spawnSync('setpriv', ['--ambient-caps=-all', 'true']).status === 0;
test.runIf(canSetPrivileges)(
  'without user namespaces root starts it as another account, in the same folder',
  async () => {
    const bin = join(home, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'unshare'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    {
      await using _byNamespace = await EmbeddedPostgres.start(options());
    }
    const { SYSTEM_ENVIRONMENT } = await import('../../src/embedded/unprivileged.ts');
    const path = SYSTEM_ENVIRONMENT['PATH'];
    SYSTEM_ENVIRONMENT['PATH'] = `${bin}:${path}`;
    try {
      await using postgres = await EmbeddedPostgres.start(options());
      expect(await query(postgres.url('asgard'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      expect((await stat(options().folder)).uid).not.toBe(0);
    } finally {
      SYSTEM_ENVIRONMENT['PATH'] = path;
    }
    await using _back = await EmbeddedPostgres.start(options());
    expect((await stat(options().folder)).uid).toBe(0);
  },
);
