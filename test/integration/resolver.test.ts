import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { noteOfFeast } from '../../src/python/feast-version.ts';
import { Resolver } from '../../src/python/resolver.ts';
import { PackageIndex } from '../support/package-index.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);
const given = process.env['UV_DEFAULT_INDEX'];

let folder: string;
let index: PackageIndex;
let resolver: Resolver;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-resolver-'));
  index = await PackageIndex.serve({
    mlflow: ['3.17.2'],
    'scikit-learn': ['1.9.0'],
    pandas: ['3.0.0'],
    numpy: ['2.4.0'],
    feast: ['0.66.0', '0.67.0'],
    pyiceberg: ['0.12.0'],
    tiny: ['1.0'],
  });
  process.env['UV_DEFAULT_INDEX'] = index.url;
  resolver = new Resolver({ folder: join(folder, 'resolutions'), python: await countedPython() });
});
afterEach(async () => {
  if (given === undefined) delete process.env['UV_DEFAULT_INDEX'];
  else process.env['UV_DEFAULT_INDEX'] = given;
  await index[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** The toolchain's interpreter, which notes each call. */
async function countedPython(): Promise<string> {
  const bin = join(folder, 'python', 'bin');
  await mkdir(bin, { recursive: true });
  const real = toolchainPython(toolchain);
  await cp(join(real, '..', '..', 'pyvenv.cfg'), join(bin, '..', 'pyvenv.cfg'));
  await writeFile(join(bin, 'python'), `#!/bin/sh\necho "$1" >> ${join(folder, 'calls')}\nexec ${real} "$@"\n`);
  await chmod(join(bin, 'python'), 0o755);
  return join(bin, 'python');
}

async function uvCalls(): Promise<number> {
  const calls = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
  return calls.split('\n').filter((call) => call.endsWith('run_uv.py')).length;
}

/** As if what is remembered had been resolved a day ago. */
async function letADayPass(): Promise<void> {
  for (const name of await readdir(join(folder, 'resolutions'))) {
    if (!name.endsWith('.json')) continue;
    const path = join(folder, 'resolutions', name);
    const remembered = JSON.parse(await readFile(path, 'utf8'));
    const dayBefore = (text: string) => new Date(Date.parse(text) - 24 * 3_600_000).toISOString();
    remembered.resolvedAt = dayBefore(remembered.resolvedAt);
    remembered.freshUntil = dayBefore(remembered.freshUntil);
    await writeFile(path, JSON.stringify(remembered));
  }
}

async function resolve(requirements = ['tiny']): Promise<{ lock: string; lines: string[] }> {
  const lines: string[] = [];
  const { lock } = await resolver.resolve({ requirements, onLine: (line) => lines.push(line) });
  return { lock, lines };
}

it('asks uv once for a set of requirements, however it is written and whoever asks', async () => {
  const [first, atOnce] = await Promise.all([resolve(['tiny', 'pandas']), resolve([' pandas', 'tiny', 'tiny'])]);
  expect(first.lock).toMatch(/^tiny==1\.0$/m);
  expect(atOnce.lock).toBe(first.lock);
  expect(await uvCalls()).toBe(1);
  resolver = new Resolver({ folder: join(folder, 'resolutions'), python: join(folder, 'python', 'bin', 'python') });
  index.versions['tiny'] = ['1.0', '1.1'];
  expect(await resolve(['tiny', 'pandas'])).toEqual({ lock: first.lock, lines: [] });
  expect(await uvCalls()).toBe(1);
});

it('adds what reads the feature store, of which a job may name another version', async () => {
  const lockOf = async (requirements: string[]) => (await resolver.resolve({ requirements, usesFeast: true })).lock;
  const lock = await lockOf([]);
  expect(lock).toMatch(/^feast==0\.67\.0$/m);
  expect(await noteOfFeast(lock)).toBeNull();
  const own = await lockOf(['Feast==0.66.0']);
  expect(own).toMatch(/^feast==0\.66\.0$/m);
  expect(own).toMatch(/^pyiceberg==0\.12\.0$/m);
  expect(await noteOfFeast(own)).toMatch(/^feast 0\.66\.0 of the requirements is used instead of 0\.67\.0, /);
});

it('asks again of other requirements and of another index', async () => {
  await resolve();
  await resolve(['tiny==1.0']);
  expect(await uvCalls()).toBe(2);
  process.env['UV_DEFAULT_INDEX'] = `${index.url}/`;
  await resolve();
  expect(await uvCalls()).toBe(3);
});

it('finds newer versions after a day', async () => {
  await resolve();
  index.versions['tiny'] = ['1.0', '1.1'];
  await letADayPass();
  expect((await resolve()).lock).toMatch(/^tiny==1\.1$/m);
  expect(await uvCalls()).toBe(2);
});

it('goes on with older versions when the index is away, says so, and asks again later', async () => {
  const first = await resolve();
  await letADayPass();
  await index[Symbol.asyncDispose]();
  const second = await resolve();
  expect(second.lock).toBe(first.lock);
  expect(second.lines.at(-1)).toMatch(
    /^Going on with the versions of \d{4}-.*, as they cannot be resolved anew: could not/,
  );
  expect(await resolve()).toEqual({ lock: first.lock, lines: [] });
  expect(await uvCalls()).toBe(2);
  await letADayPass();
  expect((await resolve()).lines).toContainEqual(expect.stringContaining('Going on with'));
});

it('does not go on with versions that are no longer to be had', async () => {
  await resolve();
  await letADayPass();
  index.versions['tiny'] = [];
  await expect(resolve()).rejects.toMatchObject({ code: 'INVALID_INPUT' });
});

it('forgets what was not resolved for months', async () => {
  await resolve();
  const [name = ''] = (await readdir(join(folder, 'resolutions'))).filter((entry) => entry.endsWith('.json'));
  const path = join(folder, 'resolutions', name);
  await resolver.removeForgotten();
  await expect(readFile(path)).resolves.toBeDefined();
  const longAgo = new Date(Date.now() - 91 * 24 * 3_600_000);
  await utimes(path, longAgo, longAgo);
  await resolver.removeForgotten();
  await expect(readFile(path)).rejects.toThrow('ENOENT');
});
