import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { FeastByHand } from '../../src/feast/by-hand.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from '../support/data-folder.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { poll } from '../support/poll.ts';

const PYTHON = toolchainPython(TOOLCHAIN);

let features: FeaturesForTests;
let parent: string;
beforeAll(async () => {
  features = await FeaturesForTests.start();
});
afterAll(() => features[Symbol.asyncDispose]());
beforeEach(async () => {
  parent = await mkdtemp(join(features.folder, 'by-hand-'));
});

/** A platform of the data folder that keeps the folder at `path`, and what it said. */
function keep(path: string, dataFolder = join(features.folder, 'home')) {
  const troubles: (string | null)[] = [];
  const { settings, database } = features;
  const logger = createLogger('silent', false);
  const onTrouble = (trouble: string | null) => void troubles.push(trouble);
  const keeper = new FeastByHand({ path, dataFolder, python: PYTHON, settings, database, logger, onTrouble });
  const trouble = () =>
    poll(
      () => troubles,
      ({ length }) => length > 0,
    ).then(([first]) => first);
  return { trouble, troubles, [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose]() };
}

/** The whole of what is written there. */
function written(path: string): Promise<string> {
  return poll(
    () => readFile(join(path, 'feature_store.yaml'), 'utf8').catch(() => ''),
    (text) => text !== '',
  );
}

test('who uses Feast by hand reads the registry and writes nothing, until the platform ends', async () => {
  const path = join(parent, 'feast_repo');
  {
    await using platform = keep(path);
    const text = await written(path);
    expect(platform.troubles).toEqual([]);
    expect((await stat(join(path, 'feature_store.yaml'))).mode & 0o777).toBe(0o600);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    // Not the platform's own password.
    expect(text).not.toContain(new URL(features.settings.databaseUrl).password);
    const empty = await feast(path, 'FeatureStore(repo_path=path)');
    expect(empty).toContain('there is no feature view yet: make one (POST /feast/features)');
    await features.bridge.request('store.status', {}, z.looseObject({}));
    await poll(
      () => written(path),
      (now) => now !== text,
    );
    const script = `
store = FeatureStore(repo_path=path)
print(store.project, store.list_feature_views())
try:
    store.apply([Entity(name="customer")])
except Exception as error:
    print("refused", "read-only" in str(error) or "permission denied" in str(error))
`;
    expect(await feast(path, script)).toBe('asgard []\nrefused True\n');
  }
  expect(await readdir(path)).toEqual(['.asgard.lock']);
});

/** What a script by hand prints, and how it fails. */
async function feast(path: string, script: string): Promise<string> {
  const env = { PYTHONPATH: join(import.meta.dirname, '../../python'), PYTHONOPTIMIZE: '1' };
  const whole = `from feast import Entity, FeatureStore\npath = ${JSON.stringify(path)}\n${script}`;
  return await promisify(execFile)(PYTHON, ['-c', whole], { env, timeout: 60_000 }).then(
    ({ stdout }) => stdout,
    ({ stderr }) => String(stderr),
  );
}

test('the first of two platforms keeps the folder, the second says whose it is and what to do, and has it once that one is gone', async () => {
  const path = join(parent, 'feast_repo');
  const first = keep(path, '/data/first');
  const text = await written(path);
  await using second = keep(path, '/data/second');
  expect(await second.trouble()).toBe(
    `${path} is kept by the Asgard of /data/first. Jobs are not affected; for Feast by hand set FEAST_REPO_PATH to another folder`,
  );
  expect(await written(path)).toBe(text);
  await first[Symbol.asyncDispose]();
  await poll(
    () => written(path),
    (now) => now.includes('/data/second'),
  );
  expect(second.troubles.slice(1)).toEqual([null]);
});

test('what a killed platform left there is taken over', async () => {
  const path = join(parent, 'feast_repo');
  await mkdir(path, { mode: 0o700 });
  await writeFile(join(path, 'feature_store.yaml'), 'project: dead\n');
  await writeFile(join(path, '.asgard-owner.json'), '{"dataFolder":"/data/dead"}\n');
  await using _platform = keep(path, '/data/next');
  await poll(
    () => written(path),
    (text) => text.includes('/data/next'),
  );
});

test('somebody’s own repository is left as it is', async () => {
  const path = join(parent, 'feast_repo');
  await mkdir(path, { mode: 0o700 });
  await writeFile(join(path, 'feature_store.yaml'), 'project: mine\n');
  await using platform = keep(path);
  expect(await platform.trouble()).toContain('holds a feature_store.yaml that no Asgard has written');
  expect(await readFile(join(path, 'feature_store.yaml'), 'utf8')).toBe('project: mine\n');
  expect(await readdir(path)).toEqual(['feature_store.yaml']);
});

test('nothing is written through a link, nor where another account may have put one', async () => {
  const target = join(parent, 'target');
  await mkdir(target);
  const linked = join(parent, 'linked');
  await symlink(target, linked);
  const open = join(parent, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  const file = join(parent, 'file');
  await writeFile(file, '');
  for (const [path, why] of [
    [linked, 'is a link'],
    [open, 'can be written by others'],
    [join(open, 'repo'), `lies in ${open}, which can be written by others`],
    [file, 'is no folder'],
    [join(parent, 'no', 'parent'), 'cannot be written: ENOENT'],
  ] as const) {
    await using platform = keep(path);
    expect(await platform.trouble()).toContain(`${path} ${why}`);
  }
  expect(await readdir(target)).toEqual([]);
  expect(await readdir(open)).toEqual([]);

  // A link of ours at the file's own name is replaced.
  const path = join(parent, 'feast_repo');
  await mkdir(path, { mode: 0o700 });
  await writeFile(join(path, '.asgard-owner.json'), '{}');
  const precious = join(parent, 'precious');
  await writeFile(precious, 'mine');
  await symlink(precious, join(path, 'feature_store.yaml'));
  await using _platform = keep(path);
  await poll(
    () => lstat(join(path, 'feature_store.yaml')),
    (found) => found.isFile(),
  );
  expect(await readFile(precious, 'utf8')).toBe('mine');
});

// Only root can give a folder to another account.
test.runIf(process.getuid?.() === 0)('a folder of another account is left alone', async () => {
  const path = join(parent, 'feast_repo');
  await mkdir(path, { mode: 0o700 });
  await using chown = await ChildProcess.start({ argv: ['chown', '12345', path], env: { PATH: process.env['PATH'] } });
  await chown.exited;
  await using platform = keep(path);
  expect(await platform.trouble()).toContain(`${path} belongs to another account (number 12345)`);
  await rm(path, { recursive: true });
});
