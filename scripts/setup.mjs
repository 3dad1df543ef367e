#!/usr/bin/env node
/**
 * `node scripts/setup.mjs [--quiet] [--tests] [-- COMMAND ARGUMENT…]`: sets up what is missing (npm packages, the generated
 * Prisma client, the Python toolchain; with `--tests` also what only tests run), then runs the command with the project's own Node first on the PATH and ends as it ends.
 * Plain JavaScript without dependencies: it runs on whatever Node 20 or later the machine has, before anything is installed.
 * A step whose inputs have not changed since it was done costs a few milliseconds.
 *
 * Exit codes of its own: 1 a step failed, 2 the machine lacks something (one line says what to do).
 */
import { resolve } from 'node:path';
import { runCommand } from './setup/command.mjs';
import { SetupError } from './setup/errors.mjs';
import { setUpNodePackages, setUpPrismaClient } from './setup/node-packages.mjs';
import { Progress } from './setup/progress.mjs';
import { PLATFORM_PYTHON, setUpPython, TEST_PYTHON } from './setup/python.mjs';
import { endToolsOnSignals } from './setup/tool.mjs';

const OLDEST_NODE = 20;
const root = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');

async function setUp(progress, hasTests) {
  const nodeMajor = Number(process.versions.node.split('.')[0]);
  if (nodeMajor < OLDEST_NODE) {
    throw new SetupError(
      2,
      `Node ${OLDEST_NODE} or later is needed and this is ${process.version}: install a newer one`,
    );
  }
  const toolchain = resolve(process.env.ASGARD_TOOLCHAIN || resolve(root, '.toolchain'));
  const steps = [
    setUpNodePackages(root, progress).then(() => setUpPrismaClient(root, progress)),
    ...[PLATFORM_PYTHON, ...(hasTests ? [TEST_PYTHON] : [])].map((environment) =>
      setUpPython(root, toolchain, progress, environment),
    ),
  ];
  // Both are let come to their end, so that a failure of one leaves no half of the other.
  const failure = (await Promise.allSettled(steps)).find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

const separator = process.argv.indexOf('--', 2);
const options = process.argv.slice(2, separator === -1 ? undefined : separator);
const command = separator === -1 ? [] : process.argv.slice(separator + 1);
const progress = new Progress(options.includes('--quiet'));
const stopWatching = endToolsOnSignals();
try {
  await setUp(progress, options.includes('--tests'));
} catch (error) {
  process.stderr.write(`set-up: ${error instanceof SetupError ? error.message : (error?.stack ?? error)}\n`);
  process.exit(error instanceof SetupError ? error.exitCode : 1);
}
stopWatching();
if (command.length > 0) runCommand(root, command);
