import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { findIsolation, isolationTrouble } from '../../src/executors/isolation.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { CAN_BE_APART } from '../support/isolation.ts';

const python = toolchainPython(parseConfig(inheritedEnvironment(), false).toolchain);

let dataFolder: string;
/** The same interpreter, in a user namespace in which no other may be made. */
let restricted: string;

beforeAll(async () => {
  dataFolder = await mkdtemp(join(tmpdir(), 'asgard-isolation-'));
  restricted = join(dataFolder, 'python');
  const inside = `echo 0 > /proc/sys/user/max_user_namespaces && exec '${python}' "$@"`;
  await writeFile(
    restricted,
    `#!/bin/sh\nPATH=/usr/bin:/bin\nexec unshare -Ur sh -c '${inside.replaceAll("'", `'\\''`)}' sh "$@"\n`,
  );
  await chmod(restricted, 0o755);
});

afterAll(() => rm(dataFolder, { recursive: true, force: true }));

test.runIf(CAN_BE_APART)('where namespaces may be made they are found, also when they are required', async () => {
  for (const setting of ['auto', 'required'] as const) {
    expect(await findIsolation({ setting, python, dataFolder })).toEqual({ level: 'namespaces', reason: null });
  }
});

test.runIf(CAN_BE_APART)(
  'where none may be made the reason is told, and a platform that requires them does not start',
  async () => {
    const isolation = await findIsolation({ setting: 'auto', python: restricted, dataFolder });
    expect(isolation.level).not.toBe('namespaces');
    expect(isolationTrouble(isolation)).toContain(`(${isolation.reason})`);
    await expect(findIsolation({ setting: 'required', python: restricted, dataFolder })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `scripts cannot be set apart (${isolation.reason}): allow user namespaces to this account, or set ASGARD_ISOLATION=auto`,
    });
  },
);

test('switched off, nothing is tried, and that is said', async () => {
  const isolation = await findIsolation({ setting: 'off', python: '/no/python', dataFolder });
  expect(isolationTrouble(isolation)).toMatch(/^scripts are not set apart: .*ASGARD_ISOLATION is off/);
});
