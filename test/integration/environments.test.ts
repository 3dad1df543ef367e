import { execFile } from 'node:child_process';
import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { inheritedEnvironment, PROJECT_ROOT, parseConfig } from '../../src/config.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { PythonEnvironments } from '../../src/python/environments.ts';
import { poll } from '../support/poll.ts';
import { processesWith } from '../support/processes-by-argument.ts';
import { uniqueName } from '../support/unique-name.ts';
import { Wheels } from '../support/wheels.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);
const VERSION = '3.0.0';

let home: string;
let wheels: Wheels;
let folder: string;
let environments: PythonEnvironments;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'asgard-environments-'));
  wheels = await Wheels.serve(home);
});
afterAll(async () => {
  await wheels?.[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

beforeEach(() => {
  folder = join(home, uniqueName('environments'));
  environments = new PythonEnvironments({ folder, toolchain });
});

const KEPT = ['locks', 'resolutions'];
const contents = async () => (await readdir(folder).catch(() => [])).filter((name) => !KEPT.includes(name));

/** Another platform on the folder, which makes the environment of a lock and says so; to be disposed of. */
function otherPlatform(lock: string) {
  const program = `
    const { PythonEnvironments } = await import(${JSON.stringify(join(PROJECT_ROOT, 'src/python/environments.ts'))});
    const [folder, toolchain, lock] = process.argv.slice(1);
    const environments = new PythonEnvironments({ folder, toolchain });
    const { hash } = await environments.prepareLocked(lock, ${JSON.stringify(VERSION)}, { onLine: (line) => console.log(line) });
    console.log('made', hash);`;
  return ChildProcess.start({
    argv: [process.execPath, '--input-type=module', '-e', program, folder, toolchain, lock],
    env: inheritedEnvironment(),
  });
}

describe('building', () => {
  it('makes an environment that has the packages of its lock, compiled, and works where it is', async () => {
    const environment = await environments.prepareLocked(wheels.lock(), VERSION);
    expect(environment).toMatchObject({
      hash: expect.stringMatching(/^[0-9a-f]{16}$/),
      folder: join(folder, environment.hash),
    });
    const show = 'import sys, tiny; print(tiny.ANSWER, sys.prefix, tiny.__cached__)';
    const { stdout } = await promisify(execFile)(environment.python, ['-I', '-c', show]);
    const [answer, prefix, bytecode = ''] = stdout.trim().split(' ');
    expect([answer, prefix]).toEqual(['42', environment.folder]);
    await expect(access(bytecode)).resolves.toBeUndefined();
    expect(await contents()).toEqual([environment.hash]);
  });

  it('is done once: whoever comes later finds it', async () => {
    const lock = wheels.lock();
    const first = { ...(await environments.prepareLocked(lock, VERSION)), [Symbol.dispose]: expect.any(Function) };
    const lines: string[] = [];
    const onLine = (line: string) => lines.push(line);
    expect(await environments.prepareLocked(lock, VERSION, { onLine })).toEqual(first);
    expect(await new PythonEnvironments({ folder, toolchain }).prepareLocked(lock, VERSION, { onLine })).toEqual(first);
    expect(lines).toEqual([]);
  });

  it('is done once by many who ask at once, and those who wait are told', async () => {
    await using hold = wheels.hold();
    const lines: string[][] = [[], [], []];
    const making = Promise.all(
      lines.map((own) => environments.prepareLocked(hold.lock, VERSION, { onLine: (line) => own.push(line) })),
    );
    making.catch(() => {}); // told below
    // The build goes on until both have looked at it twice, which they are told of.
    await poll(
      () => lines.flat().filter((line) => line.startsWith('Waiting')).length,
      (count) => count === 2,
    );
    hold.release();
    const made = await making;
    expect(new Set(made.map(({ hash }) => hash)).size).toBe(1);
    expect(lines.flat().filter((line) => line.startsWith('Building'))).toHaveLength(1);
    expect(lines.flat().filter((line) => line.startsWith('Waiting'))).toHaveLength(2);
    // The folder it is built in has that name for some seconds only.
    expect(lines.flat().join('\n')).not.toContain('.partial-');
    expect(await contents()).toEqual([made[0]?.hash]);
  });

  it('is done once by several platforms at once, and all of them have it', async () => {
    await using hold = wheels.hold();
    const platforms = await Promise.all([otherPlatform(hold.lock), otherPlatform(hold.lock)]);
    await using _first = platforms[0];
    await using _second = platforms[1];
    const said = () => platforms.map(({ tail }) => tail).join('');
    await poll(said, (text) => text.includes('Building environment') && text.includes('Waiting for environment'));
    await hold.asked(1);
    hold.release();
    expect(await Promise.all(platforms.map(({ exited }) => exited))).toMatchObject([{ code: 0 }, { code: 0 }]);
    const [hash] = await contents();
    expect(said().match(/Building environment/g)).toHaveLength(1);
    expect(
      said()
        .split('\n')
        .filter((line) => line === `made ${hash}`),
    ).toHaveLength(2);
    expect(await contents()).toEqual([hash]);
  });

  it('gives another environment for another lock and for another Python', async () => {
    const lock = wheels.lock();
    const [first, second] = [
      await environments.prepareLocked(lock, VERSION),
      await environments.prepareLocked(lock, '3.0.1'),
    ];
    expect(second.hash).not.toBe(first.hash);
    expect((await contents()).toSorted()).toEqual([first.hash, second.hash].toSorted());
  });
});

describe('a build that is interrupted', () => {
  it('leaves nothing: neither half an environment nor a process; the next one succeeds', async () => {
    await using hold = wheels.hold();
    const stop = new AbortController();
    const building = environments.prepareLocked(hold.lock, VERSION, { signal: stop.signal });
    await hold.asked(1);
    stop.abort(new Error('cancelled'));
    await expect(building).rejects.toThrow('cancelled');
    expect(await contents()).toEqual([]);
    expect(await processesWith(folder)).toEqual([]);
    hold.release();
    const { hash } = await environments.prepareLocked(hold.lock, VERSION);
    expect(await contents()).toEqual([hash]);
  });

  it('is taken over by one who waited for it', async () => {
    await using hold = wheels.hold();
    const stop = new AbortController();
    const first = environments.prepareLocked(hold.lock, VERSION, { signal: stop.signal });
    await hold.asked(1);
    const second = environments.prepareLocked(hold.lock, VERSION);
    stop.abort(new Error('cancelled'));
    await expect(first).rejects.toThrow('cancelled');
    hold.release();
    await expect(second).resolves.toMatchObject({ folder: expect.stringContaining(folder) });
    expect(await contents()).toEqual([(await second).hash]);
  });

  it('is not waited for by one who is interrupted too', async () => {
    await using hold = wheels.hold();
    const first = environments.prepareLocked(hold.lock, VERSION);
    await hold.asked(1);
    const stop = new AbortController();
    const second = environments.prepareLocked(hold.lock, VERSION, { signal: stop.signal });
    stop.abort(new Error('cancelled'));
    // The first one waits until it is released.
    await expect(second).rejects.toThrow('cancelled');
    hold.release();
    await first;
  });

  it('by the death of its platform leaves no process, and what it leaves goes with the next start or build', async () => {
    await using hold = wheels.hold();
    for (const next of ['start', 'build']) {
      await using platform = await otherPlatform(hold.lock);
      await hold.asked(next === 'start' ? 1 : 2);
      expect(await contents()).toContainEqual(expect.stringMatching(/^\.partial-/));
      await environments.removeLeftovers();
      expect(await contents(), 'a build that is under way is no leftover').not.toEqual([]);
      platform.kill('SIGKILL');
      await platform.exited;
      await poll(
        () => processesWith(folder),
        (pids) => pids.length === 0,
      );
      expect((await contents()).filter((name) => !name.startsWith('.partial-'))).toEqual([]);
      if (next === 'start') {
        await environments.removeLeftovers();
        expect(await contents()).toEqual([]);
      }
    }
    hold.release();
    const { hash, python } = await environments.prepareLocked(hold.lock, VERSION);
    await promisify(execFile)(python, ['-I', '-c', 'import tiny']);
    expect(await contents()).toEqual([hash]);
  });
});

describe('a failure', () => {
  it("to install is the requirement's fault, in uv's words, and leaves nothing", async () => {
    const lines: string[] = [];
    const building = environments.prepareLocked(`tiny @ ${wheels.url}/missing/tiny-1.0-py3-none-any.whl\n`, VERSION, {
      onLine: (line) => lines.push(line),
    });
    await expect(building).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(/^could not install/),
    });
    expect(lines.join('\n')).toContain('404');
    expect(await contents()).toEqual([]);
  });

  it('to resolve in time ends with the reason of the signal, and leaves no file', async () => {
    const given = process.env['UV_DEFAULT_INDEX'];
    await using hold = wheels.hold();
    process.env['UV_DEFAULT_INDEX'] = hold.index;
    try {
      const stop = new AbortController();
      const resolving = environments.prepare({ requirements: ['tiny'], signal: stop.signal });
      await hold.asked(1);
      stop.abort(new Error('out of time'));
      await expect(resolving).rejects.toThrow('out of time');
      expect((await readdir(join(folder, 'resolutions'))).filter((name) => !name.endsWith('.lock'))).toEqual([]);
      expect(await processesWith(folder)).toEqual([]);
    } finally {
      if (given === undefined) delete process.env['UV_DEFAULT_INDEX'];
      else process.env['UV_DEFAULT_INDEX'] = given;
    }
  });
});
