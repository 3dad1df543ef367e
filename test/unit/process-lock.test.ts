import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FolderLock } from '../../src/platform/lock-file.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { poll } from '../support/poll.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-lock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a folder that a living process holds is refused, naming the folder, the process and what to do', async () => {
  const path = join(folder, 'home', 'lock');
  await using _lock = await FolderLock.acquire(path);
  await expect(FolderLock.acquire(path)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: `the data folder ${join(folder, 'home')} is in use by process ${process.pid}; stop it or set ASGARD_HOME`,
  });
});

test('a released lock leaves nothing behind and can be taken again', async () => {
  const path = join(folder, 'lock');
  await (await FolderLock.acquire(path))[Symbol.asyncDispose]();
  await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
  await using _again = await FolderLock.acquire(path);
});

test('the lock of a process that was killed is free, whatever it left', async () => {
  const path = join(folder, 'lock');
  const module = JSON.stringify(new URL('../../src/platform/lock-file.ts', import.meta.url).href);
  const script = `await (await import(${module})).FolderLock.acquire(${JSON.stringify(path)}); setInterval(() => {}, 1000);`;
  await using child = await ChildProcess.start({
    argv: [process.execPath, '--input-type=module', '-e', script],
    env: {},
  });
  await poll(
    () => readFile(path, 'utf8').catch(() => ''),
    (note) => note.endsWith('\n'),
  );
  await expect(FolderLock.acquire(path)).rejects.toThrow(`in use by process ${child.pid};`);
  child.kill('SIGKILL');
  await child.exited;
  await using _lock = await FolderLock.acquire(path);
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ pid: process.pid });
});

test('a damaged note of who holds it does not matter', async () => {
  const path = join(folder, 'lock');
  await writeFile(path, '{"pid":');
  await using _lock = await FolderLock.acquire(path);
});

test('of many that race for it one gets it', async () => {
  const path = join(folder, 'lock');
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => FolderLock.acquire(path)));
  const taken = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  expect(taken).toHaveLength(1);
  for (const lock of taken) await lock[Symbol.asyncDispose]();
});
