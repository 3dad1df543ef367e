import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ChildProcess } from '../../src/platform/process.ts';
import { identityOfProcess } from '../../src/platform/process-identity.ts';
import { poll } from '../support/poll.ts';

// The set-up itself is run by the command that runs these tests; here are the parts that it is made of.
const root = resolve(import.meta.dirname, '../..');
const part = (name: string) => JSON.stringify(pathToFileURL(join(root, 'scripts', 'setup', `${name}.mjs`)).href);
const env = { PATH: '/usr/local/bin:/usr/bin:/bin' };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-setup-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function run(source: string) {
  return ChildProcess.start({ argv: [process.execPath, '--input-type=module', '-e', source], env });
}

function runCommand(...command: string[]) {
  return run(
    `import { runCommand } from ${part('command')}; runCommand(${JSON.stringify(root)}, ${JSON.stringify(command)})`,
  );
}

test("the command runs on the project's own Node and its exit code is passed on", async () => {
  await using child = await runCommand('node', '-e', 'console.log(process.execPath); process.exit(7)');
  expect((await child.exited).code).toBe(7);
  expect(child.tail.trim()).toContain(join(root, 'node_modules'));
});

test('a command that is not there ends with 127 and says so', async () => {
  await using child = await runCommand('no-such-command');
  expect((await child.exited).code).toBe(127);
  expect(child.tail).toMatch(/^set-up: no-such-command cannot be run/);
});

test('an interrupt that comes twice at once reaches the command once, and its end is waited for', async () => {
  const source = `let count = 0;
    process.on('SIGINT', () => { count += 1; if (count === 1) setTimeout(() => { console.log('got ' + count); process.exit(5) }, 400) });
    console.log('up'); setInterval(() => {}, 1000)`;
  await using child = await runCommand('node', '-e', source);
  await expect.poll(() => child.tail).toBe('up\n');
  // As a Ctrl-C under npm: the terminal signals the group, and npm passes the signal on.
  child.kill('SIGINT');
  child.kill('SIGINT');
  expect(await child.exited).toEqual({ code: 5, signal: null });
  expect(child.tail).toBe('up\ngot 1\n');
});

test('two set-ups do not do the same step at once', async () => {
  const source = `import { withLock } from ${part('lock')};
    await withLock(${JSON.stringify(join(folder, 'step.lock'))}, () => undefined, async () => {
      console.log('in');
      await new Promise((resolve) => setTimeout(resolve, 300));
      console.log('out');
    });`;
  const lines: string[] = [];
  const start = () =>
    ChildProcess.start({
      argv: [process.execPath, '--input-type=module', '-e', source],
      env,
      onLine: (_, line) => lines.push(line),
    });
  await using first = await start();
  await using second = await start();
  expect([(await first.exited).code, (await second.exited).code]).toEqual([0, 0]);
  expect(lines).toEqual(['in', 'out', 'in', 'out']);
});

test('a lock whose holders have ended is taken over', async () => {
  const path = join(folder, 'step.lock');
  await using ended = await run('');
  await ended.exited;
  await writeFile(path, JSON.stringify([{ pid: ended.pid, started: '1' }]));
  await using child = await run(
    `import { withLock } from ${part('lock')}; await withLock(${JSON.stringify(path)}, () => undefined, () => console.log('in'))`,
  );
  expect((await child.exited).code).toBe(0);
  expect(child.tail).toBe('in\n');
});

test('what a failing tool says names no address', async () => {
  const message = `GET https://user:secret@packages.example.org/simple/x: getaddrinfo ENOTFOUND packages.example.org; HTTPSConnectionPool(host='packages.example.org')`;
  await using child = await run(
    `import { runTool } from ${part('tool')};
     const { tail } = await runTool([process.execPath, '-e', 'process.stderr.write(process.argv[1]); process.exit(1)', ${JSON.stringify(message)}]);
     console.log(tail)`,
  );
  await child.exited;
  expect(child.tail).toContain('<address>');
  expect(child.tail).not.toMatch(/example|secret/);
});

test('an interrupted set-up ends its tool with all that it started, and does not try another way', async () => {
  const mark = join(folder, 'grandchild');
  const grandchild = `setInterval(() => {}, 1000); require('node:fs').writeFileSync(process.argv[1], String(process.pid))`;
  const tool = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(grandchild)}, process.argv[1]]); setInterval(() => {}, 1000)`;
  await using child = await run(
    `import { runTool, endToolsOnSignals } from ${part('tool')};
     endToolsOnSignals();
     await runTool([process.execPath, '-e', ${JSON.stringify(tool)}, ${JSON.stringify(mark)}]);
     console.log('the other way'); await runTool([process.execPath, '-e', 'setInterval(() => {}, 1000)'])`,
  );
  const pid = await poll(
    async () => Number(await readFile(mark, 'utf8').catch(() => '')),
    (found) => found > 0,
  );
  process.kill(child.pid, 'SIGTERM');
  expect(await child.exited).toEqual({ code: 143, signal: null });
  expect(child.tail).toBe('');
  await expect.poll(() => identityOfProcess(pid)).toBeNull();
});
