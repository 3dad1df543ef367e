import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AsgardClient } from '../../src/client/client.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { DataFolder, MAIN, TOOLCHAIN } from '../support/data-folder.ts';
import { CAN_BE_APART } from '../support/isolation.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';
import { runnerPidOf } from '../support/runner-pid.ts';

const SCRIPT = 'import os\nprint("I am", os.getuid())';
const OTHER_SCRIPT = `
import time
for path in ("own", "/tmp/own-of-another"):
    with open(path, "w") as file:
        file.write("x")
time.sleep(300)
`;
const IS_ROOT = process.getuid?.() === 0;
/** "nobody" on the systems that we know; the number is all that counts. */
const ORDINARY = { uid: 65_534, gid: 65_534 };

/**
 * Only root can become another user. The right to read whatever is there goes along: the clone, or the Python that the
 * machine has, may lie in a folder that only root can enter. It gives no right to write, which is what counts here.
 */
const BECOME_ORDINARY = [
  'setpriv',
  `--reuid=${ORDINARY.uid}`,
  `--regid=${ORDINARY.gid}`,
  '--clear-groups',
  '--inh-caps=+dac_read_search',
  '--ambient-caps=+dac_read_search',
  // Without it access(2), by which the platform looks for its Python, goes by the account alone.
  '--securebits=+no_setuid_fixup',
  '--',
] as const;

/** Containers may forbid it. */
function canBecomeOrdinary(): boolean {
  const [program, ...args] = BECOME_ORDINARY;
  const python = join(TOOLCHAIN, 'python', 'bin', 'python');
  return process.getuid?.() === 0 && spawnSync(program, [...args, python, '-c', 'pass']).status === 0;
}

/** Leaves the number of its runner where the hostile script waits for it. */
async function tellRunner(runFolder: string): Promise<void> {
  const pid = await poll(
    () => runnerPidOf(runFolder).catch(() => undefined),
    (found) => found !== undefined,
  );
  const told = join(runFolder, 'work', 'runner');
  await writeFile(`${told}.new`, String(pid), { mode: 0o644 });
  await rename(`${told}.new`, told);
}

describe.sequential('a platform', { timeout: 300_000 }, () => {
  let folder: DataFolder;
  let jobId: string;
  beforeAll(async () => {
    folder = await DataFolder.make();
  });
  afterAll(() => folder?.[Symbol.asyncDispose]());

  test('works where only its own user can enter: the data folder, the folder above it, and HOME', async () => {
    const HOME = join(folder.parent, 'closed');
    await mkdir(HOME, { mode: 0o700 });
    await using platform = await folder.start({ HOME });
    jobId = await submit(platform.client, SCRIPT);
    expect((await eventsOf(platform.client, jobId)).at(-1)).toMatchObject({ status: 'COMPLETED' });
    const shown = await platform.client.logText(jobId);
    if (IS_ROOT && CAN_BE_APART) expect(shown).toMatch(/I am [1-9]\d{4,}\n/);
    else expect(shown).toContain(`I am ${process.getuid?.()}\n`);
    expect(await platform.end('SIGTERM')).toMatchObject({ code: 0 });
    expect(folder.processes()).toEqual([]);
    for (const path of [folder.parent, HOME]) expect((await stat(path)).mode & 0o777).toBe(0o700);
  });

  test.skipIf(!CAN_BE_APART)('keeps a hostile script from itself and from other jobs, cold and warm', async () => {
    await using platform = await folder.start({ SECRET: 'SECRET_OF_THE_PLATFORM' });
    const { client } = platform;
    const status = await client.status();
    expect(status).toMatchObject({ isolation: 'NAMESPACES' });
    expect(status.troubles.join()).not.toContain('isolation');
    const other = await submit(client, OTHER_SCRIPT);
    const otherFolder = join(folder.path, 'jobs', other, '1');
    await poll(
      () => readFile(join(otherFolder, 'work', 'own'), 'utf8').catch(() => ''),
      (text) => text === 'x',
      120_000,
    );
    const given = {
      mark: 'SECRET_OF_THE_PLATFORM',
      data: folder.path,
      secret: join(folder.path, 'lock'),
      spool: join(otherFolder, 'spool'),
      other: join(otherFolder, 'work', 'own'),
      temporary: '/tmp/own-of-another',
      pid: platform.pid,
      starter: folder.processes().find(({ command }) => command.includes('/starter.py'))?.pid,
      other_pid: await runnerPidOf(otherFolder),
      environment: join(TOOLCHAIN, 'environments'),
      program: MAIN,
    };
    expect(given.starter).toBeGreaterThan(0);
    const script = await readFile(join(PROJECT_ROOT, 'python', 'tests', 'hostile_script.py'), 'utf8');
    const start = 'import json, sys\nprint("numpy" in sys.modules)\n';
    const hostile = async (variables: Record<string, string> = {}) => {
      const { id } = await client.submit({
        scriptName: 'hostile.py',
        script: `${start}${script}`,
        experimentName: 'hostile',
        modelName: 'hostile',
        environmentVariables: Object.entries({ ...variables, GIVEN: JSON.stringify(given) }).map(([name, value]) => ({
          name,
          value,
        })),
      });
      await tellRunner(join(folder.path, 'jobs', id, '1'));
      expect((await eventsOf(client, id)).at(-1)).toMatchObject({ status: 'FAILED' });
      const lines = (await client.logText(id)).split('\n');
      const found = lines.find((line) => line.includes('{"tried"')) ?? '{}';
      expect(JSON.parse(found.slice(found.indexOf('{'))), lines.join('\n')).toMatchObject({ tried: 38, done: [] });
      return lines.some((line) => line.endsWith('True'));
    };
    // A warm process would have read this one already: with it each is started cold.
    expect(await hostile({ OMP_NUM_THREADS: '1' })).toBe(false);
    await poll(
      () => hostile(),
      (isWarm) => isWarm,
      120_000,
    );
    expect(platform.pid).toBeGreaterThan(0);
    await client.cancel(other);
    expect((await eventsOf(client, other)).at(-1)).toMatchObject({ status: 'CANCELLED' });
    expect(await platform.end('SIGTERM')).toMatchObject({ code: 0 });
    expect(folder.processes()).toEqual([]);
  });

  test.skipIf(!canBecomeOrdinary())('of root goes on as an ordinary user who was given its data folder', async () => {
    const HOME = join(folder.parent, 'ordinary');
    execFileSync('cp', ['-a', folder.path, HOME]);
    execFileSync('chown', ['-R', `${ORDINARY.uid}:${ORDINARY.gid}`, HOME]);
    await chmod(folder.parent, 0o711);
    const { promise: isListening, resolve } = Promise.withResolvers<string>();
    await using child = await ChildProcess.start({
      argv: [...BECOME_ORDINARY, process.execPath, MAIN],
      env: folder.variables({ HOME, ASGARD_HOME: HOME, FEAST_REPO_PATH: join(HOME, 'feast_repo') }),
      cwd: '/',
      onLine: (_stream, line) => {
        const url = /GraphiQL\s+(http:\S+)\/graphql/.exec(line)?.[1];
        if (url !== undefined) resolve(url);
      },
    });
    const hasEnded = child.exited.then(() => Promise.reject(new Error(`it ended while starting:\n${child.tail}`)));
    await using client = new AsgardClient({ url: await Promise.race([isListening, hasEnded]) });
    hasEnded.catch(() => {});
    expect(await client.job(jobId)).toMatchObject({ status: 'COMPLETED' });
    const own = await submit(client, SCRIPT);
    expect((await eventsOf(client, own)).at(-1)).toMatchObject({ status: 'COMPLETED' });
    expect(await client.logText(own)).toContain(`I am ${ORDINARY.uid}\n`);
    const { isolation, troubles } = await client.status();
    // Its right to read all is its own: a script that is set apart does not reach a Python in a closed folder.
    if (isolation !== 'NAMESPACES') {
      expect(troubles).toEqual([expect.stringMatching(/^isolation: scripts are not set apart: .+\(.+\)$/)]);
      expect(child.tail).toMatch(/^asgard: scripts are not set apart: .+$/m);
    }
    process.kill(child.pid, 'SIGTERM');
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(processesOf(folder.parent)).toEqual([]);
  });
});
