import { link, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { environmentLockPath } from '../../src/python/environment-holds.ts';
import { EnvironmentRecords } from '../../src/python/environment-records.ts';
import { type PythonEnvironment, PythonEnvironments, toolchainPython } from '../../src/python/environments.ts';
import { Launchers } from '../../src/python/launchers.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { poll } from '../support/poll.ts';
import { uniqueName } from '../support/unique-name.ts';
import { Wheels } from '../support/wheels.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);
const VERSION = '3.0.0';

let home: string;
let server: DatabasesForTests;
let test: TestDatabase;
let wheels: Wheels;
let folder: string;

beforeAll(async () => {
  [home, server] = await Promise.all([mkdtemp(join(tmpdir(), 'asgard-copies-')), DatabasesForTests.start()]);
  wheels = await Wheels.serve(home);
  test = await server.create();
});
afterAll(async () => {
  await test?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await wheels?.[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});
beforeEach(() => {
  folder = join(home, uniqueName('environments'));
});

/** The environments of the folder, which together may take as much as `limitBytes`. */
function environmentsWith(limitBytes = 0): PythonEnvironments {
  const observer = new EnvironmentRecords({ database: test.client, folder, logger: pino({ level: 'silent' }) });
  return new PythonEnvironments({ folder, toolchain, limitBytes, observer });
}

async function build(): Promise<PythonEnvironment> {
  return environmentsWith().prepareLocked(wheels.lock(), VERSION);
}

/** As if it was used last so many minutes ago, and nobody uses it now. */
async function leave(environment: PythonEnvironment, minutesAgo: number): Promise<void> {
  environment[Symbol.dispose]();
  const at = new Date(Date.now() - minutesAgo * 60_000);
  await utimes(environmentLockPath(environment.folder), at, at);
}

const present = async () => (await readdir(folder)).filter((name) => /^[0-9a-f]{16}$/.test(name)).toSorted();
const copyOf = (hash: string) => test.client.environmentCopy.findMany({ where: { environmentHash: hash } });
const hashesOf = (...environments: PythonEnvironment[]) => environments.map(({ hash }) => hash).toSorted();

describe('the rows of an environment', () => {
  it('tell that it is being built, then how long that took and what it takes on the disk', async () => {
    await using hold = wheels.hold();
    const building = environmentsWith().prepareLocked(hold.lock, VERSION);
    await hold.asked(1);
    const [copy] = await test.client.environmentCopy.findMany({ where: { place: folder } });
    expect(copy).toMatchObject({ status: 'BUILDING', machine: hostname(), buildSeconds: null, sizeBytes: null });
    hold.release();
    const { hash, lock } = await building;
    expect(await copyOf(hash)).toMatchObject([
      { status: 'READY', failure: null, buildSeconds: expect.any(Number), lastUsedAt: expect.any(Date) },
    ]);
    expect((await copyOf(hash))[0]?.sizeBytes).toBeGreaterThan(10_000);
    expect(await test.client.environment.findUnique({ where: { hash } })).toMatchObject({ lock, python: VERSION });
  });

  it('tell why it could not be built', async () => {
    const lock = `tiny @ ${wheels.url}/missing/tiny-1.0-py3-none-any.whl\n`;
    await expect(environmentsWith().prepareLocked(lock, VERSION)).rejects.toThrow();
    const [copy] = await test.client.environmentCopy.findMany({ where: { place: folder } });
    expect(copy).toMatchObject({
      status: 'FAILED',
      failure: expect.stringContaining('could not install the packages'),
    });
  });

  it('tell of a build that was cut short, once a platform starts', async () => {
    const { hash } = await build();
    await test.client.environmentCopy.updateMany({ where: { environmentHash: hash }, data: { status: 'BUILDING' } });
    // Somebody uses it here, so it is not that.
    await environmentsWith().removeLeftovers();
    expect(await copyOf(hash)).toMatchObject([{ status: 'BUILDING' }]);
    const data = { environmentHash: hash, machine: hostname(), place: folder, status: 'BUILDING' } as const;
    await test.client.environment.create({ data: { hash: 'cut short', lock: '', python: VERSION } });
    await test.client.environmentCopy.create({ data: { ...data, environmentHash: 'cut short' } });
    await environmentsWith().removeLeftovers();
    expect(await copyOf('cut short')).toMatchObject([{ status: 'FAILED', failure: 'its build was cut short' }]);
  });

  it('of a folder that another database knows too tell the same', async () => {
    const { hash, lock } = await build();
    const [known] = await copyOf(hash);
    await test.client.environment.delete({ where: { hash } });
    await environmentsWith().prepareLocked(lock, VERSION);
    const { buildSeconds, sizeBytes } = known ?? {};
    expect(await copyOf(hash)).toMatchObject([{ status: 'READY', buildSeconds, sizeBytes }]);
  });
});

describe('beyond the limit', () => {
  it('those go that were not used for the longest time, and come again when they are needed', async () => {
    const [oldest, older, newest] = [await build(), await build(), await build()];
    await leave(oldest, 3);
    await leave(older, 2);
    await leave(newest, 1);
    const { sizeBytes } = (await copyOf(oldest.hash))[0] ?? {};
    const environments = environmentsWith(2.5 * (sizeBytes ?? 0));
    await environments.makeRoom();
    expect(await present()).toEqual(hashesOf(older, newest));
    expect(await copyOf(oldest.hash)).toMatchObject([{ status: 'EVICTED' }]);

    // What is built now makes room for itself.
    const again = await environments.prepareLocked(oldest.lock, VERSION);
    expect(again.hash).toBe(oldest.hash);
    const whole = async () => (await readdir(folder)).filter((name) => !['locks', 'resolutions'].includes(name));
    await poll(whole, (names) => names.length === 2);
    expect(await present()).toEqual(hashesOf(oldest, newest));
    expect(await copyOf(oldest.hash)).toMatchObject([{ status: 'READY' }]);
    expect(await copyOf(older.hash)).toMatchObject([{ status: 'EVICTED' }]);
  });

  it('files that environments share count once', async () => {
    const [first, second] = [await build(), await build()];
    const big = join(first.folder, 'big');
    await writeFile(big, Buffer.alloc(1024 * 1024, 1));
    await link(big, join(second.folder, 'big'));
    const { sizeBytes } = (await copyOf(first.hash))[0] ?? {};
    await leave(first, 2);
    await leave(second, 1);
    await environmentsWith(2 * (sizeBytes ?? 0) + 1.5 * 1024 * 1024).makeRoom();
    expect(await present()).toEqual(hashesOf(first, second));
    await environmentsWith(2 * (sizeBytes ?? 0) + 0.5 * 1024 * 1024).makeRoom();
    // To remove the one frees nothing of what they share.
    expect(await present()).toEqual([]);
  });

  it('what is used stays: by this process, and by a runner that the platform left behind', async () => {
    const [here, byRunner] = [await build(), await build()];
    const executor = new LocalExecutor({ folder: join(home, 'jobs'), python: toolchainPython(toolchain) });
    const handle = { jobId: uniqueName('job'), attempt: 1, place: executor.place };
    const go = join(home, uniqueName('go'));
    await executor.reserve(handle);
    const script = `import os, time\nprint("up", flush=True)\nwhile not os.path.exists(${JSON.stringify(go)}): time.sleep(0.02)`;
    await executor.submit(handle, {
      scriptName: 'script.py',
      script,
      environmentFolder: byRunner.folder,
      variables: {},
      timeoutSeconds: 60,
      graceSeconds: 1,
      outputLimitBytes: 1024 * 1024,
    });
    const frames = executor.frames(handle, 0, AbortSignal.timeout(60_000))[Symbol.asyncIterator]();
    await frames.next();
    await leave(byRunner, 1);
    await environmentsWith(1).makeRoom();
    expect(await present()).toEqual(hashesOf(here, byRunner));
    await executor.cancel(handle);
    while ((await frames.next()).done !== true);
    await executor.forget(handle);
    await poll(
      async () => {
        await environmentsWith(1).makeRoom();
        return present();
      },
      (hashes) => hashes.length === 1,
    );
    expect(await present()).toEqual(hashesOf(here));
  });

  it('what a launcher is warm for stays', async () => {
    const environment = await build();
    await leave(environment, 1);
    const launchers = new Launchers({ folder: join(home, 'launchers'), limit: 1 });
    await launchers.launch(environment.folder, {}, {});
    await environmentsWith(1).makeRoom();
    expect(await present()).toEqual(hashesOf(environment));
    await launchers[Symbol.asyncDispose]();
    await environmentsWith(1).makeRoom();
    expect(await present()).toEqual([]);
  });
});
