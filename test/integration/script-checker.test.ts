import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inheritedEnvironment, PROJECT_ROOT, parseConfig } from '../../src/config.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { ScriptChecker } from '../../src/python/script-checker.ts';
import { poll } from '../support/poll.ts';
import { processesWith } from '../support/processes-by-argument.ts';
import { inTimeEnough } from '../support/time-enough.ts';

/** Python's compiler takes minutes for it. */
const ENDLESS = 'def f():pass\n'.repeat(80_000);
const WRONG = 'print(1)\nimport numpy pandas\n';

let folder: string;
let checker: ScriptChecker;
let log: { why?: string; msg: string }[];

/** Limits that a busy machine does not reach. */
const PATIENT = { judgeLimitMs: 600_000, waitLimitMs: 600_000 };

function checkerWith(limits: { judgeLimitMs?: number; waitLimitMs?: number }): ScriptChecker {
  const logger = pino({ base: null }, { write: (line) => void log.push(JSON.parse(line)) });
  return new ScriptChecker({ python: join(folder, 'python'), folder, logger, ...limits });
}

/** Names the interpreter within the test's own folder, so that its processes are known. */
beforeEach(async () => {
  log = [];
  folder = await mkdtemp(join(tmpdir(), 'asgard-checker-'));
  const python = join(folder, 'python');
  await symlink(toolchainPython(parseConfig(inheritedEnvironment(), false).toolchain), python);
  checker = checkerWith(PATIENT);
});

afterEach(async () => {
  await checker[Symbol.asyncDispose]();
  expect(await processes()).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});

const processes = () => processesWith(folder);

test('a script that Python can compile has no error', async () => {
  const guide = await readFile(join(PROJECT_ROOT, 'test/fixtures/guide/train_model.py'), 'utf8');
  await expect(checker.check(guide)).resolves.toBeNull();
  expect(log).toEqual([]);
});

test('an error comes with its kind, its message, its line and what stands there', async () => {
  await expect(checker.check(WRONG)).resolves.toEqual({
    kind: 'SyntaxError',
    message: 'invalid syntax',
    line: 2,
    text: 'import numpy pandas',
  });
  expect(log).toEqual([]);
});

test('many checks at once share two processes, and each gets its own answer', async () => {
  const lines = Array.from({ length: 60 }, (_, index) => index + 1);
  const errors = await Promise.all(lines.map((line) => checker.check(`${'\n'.repeat(line - 1)}a b\n`)));
  expect(errors.map((error) => error?.line)).toEqual(lines);
  expect(await processes()).toHaveLength(2);
});

test('one after the other they use one process', async () => {
  checker.warmUp();
  for (let count = 0; count < 5; count += 1) await checker.check('print(1)\n');
  expect(await processes()).toHaveLength(1);
});

test('a script that the compiler takes too long for is taken, its process is ended, and others are judged meanwhile', async () => {
  const judged = await inTimeEnough(
    async (seconds) => {
      await using hurried = checkerWith({ judgeLimitMs: seconds * 1000 });
      await hurried.check('print(1)\n');
      const endless = hurried.check(ENDLESS);
      const [busy = 0] = await processes();
      const meanwhile = await hurried.check(WRONG);
      expect(await endless).toBeNull();
      expect(log).toContainEqual(expect.objectContaining({ msg: 'script.not_checked', why: 'late' }));
      await poll(processes, (pids) => !pids.includes(busy));
      return { meanwhile, later: await hurried.check(WRONG) };
    },
    ({ meanwhile, later }) => meanwhile !== null && later !== null,
  );
  expect(judged).toMatchObject({ meanwhile: { line: 2 }, later: { line: 2 } });
});

test('while all are busy a script does not wait for long', async () => {
  const { waitLimitMs: _, ...limits } = PATIENT;
  await using busy = checkerWith(limits);
  const endless = [busy.check(ENDLESS), busy.check(ENDLESS)];
  await expect(busy.check(WRONG)).resolves.toBeNull();
  expect(log).toEqual([expect.objectContaining({ why: 'busy' })]);
  await busy[Symbol.asyncDispose]();
  await expect(Promise.all(endless)).resolves.toEqual([null, null]);
});

test('a process that was killed is replaced, also in the middle of a check', async () => {
  await checker.check('print(1)\n');
  const [idle] = await processes();
  process.kill(idle ?? 0, 'SIGKILL');
  await expect(checker.check(WRONG)).resolves.toMatchObject({ line: 2 });
  const [other] = await processes();
  const judged = checker.check(WRONG);
  process.kill(other ?? 0, 'SIGKILL');
  await expect(judged).resolves.toMatchObject({ line: 2 });
  expect(log).toEqual([]);
});

test('without an interpreter every script is taken', async () => {
  await rm(join(folder, 'python'));
  await expect(checker.check(WRONG)).resolves.toBeNull();
  expect(log).toEqual([expect.objectContaining({ why: 'ended' })]);
});

test('after the end every script is taken at once', async () => {
  const judged = checker.check(ENDLESS);
  await checker[Symbol.asyncDispose]();
  await expect(judged).resolves.toBeNull();
  await expect(checker.check(WRONG)).resolves.toBeNull();
  expect(log).toEqual([]);
});
