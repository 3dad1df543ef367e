import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ChildProcess, freePort } from '../../src/platform/process.ts';
import { commandLineOfProcess, identityOfProcess } from '../../src/platform/process-identity.ts';

const env = { PATH: '/usr/local/bin:/usr/bin:/bin' };

function script(source: string, onLine?: (stream: 'stdout' | 'stderr', line: string) => void) {
  return ChildProcess.start({ argv: [process.execPath, '-e', source], env, onLine });
}

test('every line of both streams is given once, without its ending, also a last one that has none', async () => {
  const lines: string[] = [];
  await using child = await script(
    `process.stdout.write('one\\ntw'); process.stdout.write('o\\r\\n\\nlast'); process.stderr.write('wrong\\n')`,
    (stream, line) => lines.push(`${stream}:${line}`),
  );
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(lines.filter((line) => line.startsWith('stdout'))).toEqual([
    'stdout:one',
    'stdout:two',
    'stdout:',
    'stdout:last',
  ]);
  expect(lines.filter((line) => line.startsWith('stderr'))).toEqual(['stderr:wrong']);
});

test('a character whose bytes come apart is not broken', async () => {
  const lines: string[] = [];
  const source = `const b = Buffer.from('a✓b\\n'); process.stdout.write(b.subarray(0, 2)); setTimeout(() => process.stdout.write(b.subarray(2)), 50)`;
  await using child = await script(source, (_, line) => lines.push(line));
  await child.exited;
  expect(lines).toEqual(['a✓b']);
});

test('output without an end of line neither grows the memory nor is lost', async () => {
  let characters = 0;
  let longest = 0;
  await using child = await script(`process.stdout.write('x'.repeat(1_000_000))`, (_, line) => {
    characters += line.length;
    longest = Math.max(longest, line.length);
  });
  await child.exited;
  expect(characters).toBe(1_000_000);
  expect(longest).toBe(64 * 1024);
  expect(child.tail.length).toBe(64 * 1024);
});

test('the environment of the child is the given one alone', async () => {
  await using child = await script('process.stdout.write(Object.keys(process.env).join())');
  await child.exited;
  expect(child.tail).toBe('PATH');
});

test('a program that does not exist rejects the start', async () => {
  await expect(ChildProcess.start({ argv: ['no-such-program'], env })).rejects.toMatchObject({ code: 'ENOENT' });
});

test('the exit code and the signal of the end are told', async () => {
  await using failing = await script('process.exit(3)');
  expect(await failing.exited).toEqual({ code: 3, signal: null });
  await using killed = await script(`process.kill(process.pid, 'SIGKILL')`);
  expect(await killed.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

/** Its grandchild and itself both ignore TERM; each says its process id. */
const STUBBORN = `
  process.on('SIGTERM', () => {});
  const grandchild = require('node:child_process').spawn(process.execPath,
    ['-e', "process.on('SIGTERM', () => {}); console.log('grandchild ' + process.pid); setInterval(() => {}, 1000)"],
    { stdio: ['ignore', 'inherit', 'inherit'] });
  console.log('child ' + process.pid);
  setInterval(() => {}, 1000);
`;

test('what ignores TERM is killed after the grace, with its grandchildren', async () => {
  await using child = await script(STUBBORN);
  await expect.poll(() => child.tail.match(/child \d+\n/g)).toHaveLength(2);
  const pids = [...child.tail.matchAll(/child (\d+)/g)].map((match) => Number(match[1]));
  expect(pids).toHaveLength(2);
  expect((await child.terminate({ graceMs: 200 })).signal).toBe('SIGKILL');
  await expect.poll(() => pids.map(identityOfProcess)).toEqual([null, null]);
});

test('a grandchild that outlives its parent is ended by disposing', async () => {
  const source = `
    const grandchild = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    grandchild.unref();
    console.log(grandchild.pid);`;
  let pid = 0;
  {
    await using child = await script(source);
    await child.exited;
    pid = Number(child.tail);
    expect(identityOfProcess(pid)).not.toBeNull();
  }
  await expect.poll(() => identityOfProcess(pid)).toBeNull();
});

test('a process that ends on TERM is not waited for longer than it takes', async () => {
  await using child = await script(`console.log('up'); setInterval(() => {}, 1000)`);
  await expect.poll(() => child.tail).toBe('up\n');
  expect(await child.terminate({ graceMs: 600_000 })).toEqual({ code: null, signal: 'SIGTERM' });
  expect(await child.terminate({ graceMs: 600_000 })).toEqual({ code: null, signal: 'SIGTERM' });
});

test('a process is told from others by its identity, which is gone with it', async () => {
  await using child = await script('setInterval(() => {}, 1000)');
  const identity = identityOfProcess(child.pid);
  expect(identity).not.toBeNull();
  expect(identity).not.toBe(identityOfProcess(process.pid));
  await delay(1);
  expect(identityOfProcess(child.pid)).toBe(identity);
  expect(commandLineOfProcess(child.pid)).toContain('setInterval');
  await child.terminate({ graceMs: 1_000 });
  expect(identityOfProcess(child.pid)).toBeNull();
  expect(commandLineOfProcess(child.pid)).toBeNull();
});

test('a free port can be listened on, and is none that systems give to whoever names none', async () => {
  const port = await freePort();
  expect(port).toBeLessThan(32_000);
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
});
