import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SetupError } from './errors.mjs';
import { withLock } from './lock.mjs';
import { hashOf, hasStamp, writeStamp } from './stamp.mjs';
import { runTool } from './tool.mjs';

/** Installs the npm packages unless node_modules is what package-lock.json says. */
export async function setUpNodePackages(root, progress) {
  const stamp = join(root, 'node_modules', '.asgard-setup');
  const hash = hashOf([join(root, 'package-lock.json')], process.platform, process.arch);
  const ownNode = join(root, 'node_modules', '.bin', 'node');
  const isCurrent = () => existsSync(ownNode) && hasStamp(stamp, hash);
  if (isCurrent()) return;
  const onWait = () => progress.say('waiting for another set-up to install the npm packages');
  await withLock(join(root, '.toolchain', 'npm.lock'), onWait, async (onStart) => {
    if (isCurrent()) return;
    if (!existsSync(ownNode) || !isInstalled(root)) {
      progress.say('installing npm packages, about a minute the first time');
      await progress.step('npm packages installed', () => install(root, onStart));
    }
    writeStamp(stamp, hash);
  });
}

async function install(root, onStart) {
  // Dependencies for development are part of the set-up; the project's own Node comes by an install script.
  const args = ['ci', '--include=dev', '--ignore-scripts=false', '--loglevel=error', '--no-audit', '--no-fund'];
  // No downloads from outside the registry: its package carries what runs on the CPU.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  const { ok, tail } = await runTool([...npmCommand(root), ...args], { cwd: root, env, onStart });
  // Its own help follows the message.
  if (!ok) throw new SetupError(1, `npm ci failed:\n${tail.split(/^npm error Clean install a project/m)[0].trim()}`);
}

/**
 * npm as it was started, or from the PATH. It must not run on the project's own Node, which it is about to remove.
 */
function npmCommand(root) {
  const ownFolder = join(root, 'node_modules');
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(ownFolder));
  const find = (name) => folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  const isForeign = (path) => path !== undefined && !path.startsWith(ownFolder);
  const node = [process.env.npm_node_execpath, process.execPath, find('node')].find(isForeign);
  const npm = process.env.npm_execpath;
  if (isForeign(npm) && /npm-cli\.c?js$/.test(npm) && node !== undefined && existsSync(npm)) return [node, npm];
  const onPath = find(process.platform === 'win32' ? 'npm.cmd' : 'npm');
  if (onPath !== undefined) return [onPath];
  throw new SetupError(2, 'npm is missing: install Node 20 or later together with npm');
}

/** Whether an earlier `npm ci` of a person put everything in place: npm keeps what it installed in a lock file of its own. */
function isInstalled(root) {
  try {
    const read = (...path) => JSON.parse(readFileSync(join(root, ...path), 'utf8')).packages;
    const wanted = read('package-lock.json');
    const found = read('node_modules', '.package-lock.json');
    return (
      Object.entries(wanted).every(
        ([path, entry]) =>
          path === '' || (found[path] === undefined ? entry.optional === true : found[path].version === entry.version),
      ) && Object.keys(found).every((path) => wanted[path] !== undefined)
    );
  } catch {
    return false;
  }
}

/** Generates the Prisma client unless it is that of this schema and version. */
export async function setUpPrismaClient(root, progress) {
  const stamp = join(root, 'src', 'database', 'generated', '.asgard-setup');
  const files = ['prisma/schema.prisma', 'prisma.config.ts', 'node_modules/prisma/package.json'];
  const hash = hashOf(files.map((file) => join(root, file)));
  if (hasStamp(stamp, hash)) return;
  const onWait = () => progress.say('waiting for another set-up to generate the Prisma client');
  await withLock(join(root, '.toolchain', 'prisma.lock'), onWait, async (onStart) => {
    if (hasStamp(stamp, hash)) return;
    await progress.step('Prisma client generated', async () => {
      const bin = join(root, 'node_modules', '.bin');
      const env = {
        ...process.env,
        PATH: [bin, process.env.PATH].join(delimiter),
        // Generating needs no engine, yet Prisma would download one first. It only looks whether this file exists.
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: '1',
        CHECKPOINT_DISABLE: '1',
      };
      const { ok, tail } = await runTool([join(bin, 'prisma'), 'generate'], { cwd: root, env, onStart });
      if (!ok) throw new SetupError(1, `prisma generate failed:\n${tail}`);
    });
    writeStamp(stamp, hash);
  });
}
