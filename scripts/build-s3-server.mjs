#!/usr/bin/env node
/**
 * `node scripts/build-s3-server.mjs`: builds the real S3 server of the full tests into `<toolchain>/s3-server/`, some five
 * minutes on two cores; nothing when it is there already. It prints the program's path.
 * Plain JavaScript without dependencies, as the set-up's scripts are.
 *
 * Exit codes: 1 the build failed, 2 Go is missing.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SetupError } from './setup/errors.mjs';
import { withLock } from './setup/lock.mjs';
import { Progress } from './setup/progress.mjs';
import { endToolsOnSignals, runTool } from './setup/tool.mjs';

const VERSION = 'v1.8.0';
const MODULE = 'github.com/versity/versitygw/cmd/versitygw';
const root = resolve(import.meta.dirname, '..');
const folder = join(resolve(process.env.ASGARD_TOOLCHAIN || join(root, '.toolchain')), 's3-server');
const program = join(folder, `versitygw-${VERSION}`);

async function build(progress) {
  const onWait = () => progress.say('waiting for another build of the S3 server');
  await withLock(`${folder}.lock`, onWait, async (onStart) => {
    if (existsSync(program)) return;
    const { ok: hasGo } = await runTool(['go', 'version'], { onStart });
    if (!hasGo)
      throw new SetupError(2, 'the full tests build an S3 server with Go, which is not on the PATH: install Go');
    mkdirSync(folder, { recursive: true });
    progress.say(`building the S3 server (versitygw ${VERSION}), about five minutes the first time`);
    await progress.step('S3 server built', async () => {
      const bin = join(folder, 'bin');
      const argv = ['go', 'install', '-trimpath', '-ldflags=-s -w', `${MODULE}@${VERSION}`];
      const { ok, tail } = await runTool(argv, { env: { ...process.env, GOBIN: bin }, onStart });
      if (!ok) throw new SetupError(1, `the S3 server could not be built:\n${tail}`);
      renameSync(join(bin, 'versitygw'), program);
      rmSync(bin, { recursive: true });
    });
  });
}

const stopWatching = endToolsOnSignals();
try {
  if (!existsSync(program)) await build(new Progress(false));
  process.stdout.write(`${program}\n`);
} catch (error) {
  process.stderr.write(`build-s3-server: ${error instanceof SetupError ? error.message : (error?.stack ?? error)}\n`);
  process.exitCode = error instanceof SetupError ? error.exitCode : 1;
}
stopWatching();
