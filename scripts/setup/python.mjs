import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './errors.mjs';
import { withLock } from './lock.mjs';
import { hashOf, hasStamp, writeStamp } from './stamp.mjs';
import { runTool } from './tool.mjs';

const VERSIONS = ['3.13', '3.12', '3.11', '3.10'];
const NEEDED = 'a Python from 3.10 to 3.13';
/** Variables that would lead a Python or uv away from the environment that is being made, or keep it from writing bytecode. */
const MISLEADING = ['PYTHONDONTWRITEBYTECODE', 'PYTHONHOME', 'PYTHONPATH', 'VIRTUAL_ENV', 'CONDA_PREFIX', 'UV_PYTHON'];
/** What pip is told, in uv's words: uv reads none of pip's variables. */
const UV_NAMES = { PIP_INDEX_URL: 'UV_DEFAULT_INDEX', PIP_EXTRA_INDEX_URL: 'UV_INDEX', PIP_CERT: 'SSL_CERT_FILE' };

/** `<toolchain>/python`, with the platform's own Python packages, uv among them. */
export const PLATFORM_PYTHON = { name: 'python', requirements: 'requirements.txt', title: 'Python environment' };
/** `<toolchain>/test-python`, with what only tests run. */
export const TEST_PYTHON = {
  name: 'test-python',
  requirements: 'test-requirements.txt',
  title: 'Python environment of the tests',
};

/** Makes one of these virtual environments unless it is what its requirements say. */
export async function setUpPython(root, toolchain, progress, { name, requirements: file, title }) {
  const requirements = join(root, 'python', file);
  const folder = join(toolchain, name);
  const stamp = join(folder, '.asgard-setup');
  const hash = hashOf([requirements], process.env.ASGARD_PYTHON ?? '', folder);
  // The link to an interpreter that was removed since counts as missing.
  const isCurrent = () => existsSync(join(folder, 'bin', 'python')) && hasStamp(stamp, hash);
  if (isCurrent()) return;
  const bootstrap = join(toolchain, `bootstrap-${name}`);
  const onWait = () => progress.say(`waiting for another set-up to make the ${title}`);
  await withLock(join(toolchain, `${name}.lock`), onWait, async (onStart) => {
    if (isCurrent()) return;
    const run = { env: toolEnvironment(), onStart };
    const python = await findPython(run);
    progress.say(`making the ${title} with Python ${python.version}, about a minute the first time`);
    await progress.step(`${title} made`, async () => {
      const uv = await bootstrapUv(python.path, bootstrap, uvVersion(root), run);
      rmSync(folder, { recursive: true, force: true });
      await must([uv, 'venv', '--quiet', '--python', python.path, folder], run);
      const target = ['--python', join(folder, 'bin', 'python')];
      // Without bytecode `import mlflow` takes 7 s instead of 2.
      await must([uv, 'pip', 'install', '--quiet', '--compile-bytecode', ...target, '-r', requirements], run);
    });
    writeStamp(stamp, hash);
    // The environment has a uv of its own now.
    rmSync(bootstrap, { recursive: true, force: true });
  });
}

function toolEnvironment() {
  const env = { ...process.env };
  for (const name of MISLEADING) delete env[name];
  for (const [pip, uv] of Object.entries(UV_NAMES)) {
    if (env[pip] && !env[uv]) env[uv] = env[pip];
  }
  return { ...env, UV_NO_PROGRESS: '1', UV_PYTHON_DOWNLOADS: 'never', PIP_DISABLE_PIP_VERSION_CHECK: '1' };
}

async function findPython(run) {
  const chosen = process.env.ASGARD_PYTHON;
  const names = chosen ? [chosen] : [...VERSIONS.map((version) => `python${version}`), 'python3', 'python'];
  const question = 'import sys; print("%d.%d" % sys.version_info[:2]); print(sys.executable)';
  for (const name of names) {
    // A name may be there and not work: version managers put such placeholders on the PATH.
    const { ok, stdout } = await runTool([name, '-c', question], run);
    const [version = '', path = ''] = stdout.trim().split('\n');
    if (ok && VERSIONS.includes(version)) return { version, path };
  }
  if (chosen) throw new SetupError(2, `ASGARD_PYTHON is ${chosen}, which is not ${NEEDED}: set it to one`);
  throw new SetupError(2, `${NEEDED} is needed and none is on the PATH: install one, or set ASGARD_PYTHON to its path`);
}

/** The version that the platform's requirements pin, so that the bootstrap is the uv that stays. */
function uvVersion(root) {
  return /^uv==(\S+)/m.exec(readFileSync(join(root, 'python', PLATFORM_PYTHON.requirements), 'utf8'))?.[1];
}

/** Gets uv from PyPI into a folder of its own, whatever of pip, venv and uv the machine has. @returns its path */
async function bootstrapUv(python, folder, version, run) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const requirement = version === undefined ? 'uv' : `uv==${version}`;
  const install = ['-m', 'pip', 'install', '--quiet', '--no-input'];
  const byPip = await runTool([python, ...install, '--target', folder, requirement], run);
  if (byPip.ok) return join(folder, 'bin', 'uv');
  const venv = join(folder, 'venv');
  const byVenv = await runTool([python, '-m', 'venv', venv], run);
  if (byVenv.ok) {
    await must([join(venv, 'bin', 'python'), ...install, requirement], run);
    return join(venv, 'bin', 'uv');
  }
  if ((await runTool(['uv', '--version'], run)).ok) return 'uv';
  const isPipMissing = /No module named pip/.test(byPip.tail);
  if (!isPipMissing) throw new SetupError(1, `uv could not be installed with pip:\n${byPip.tail}`);
  throw new SetupError(
    2,
    `${python} has neither pip nor venv: install them (Debian, Ubuntu: apt install python3-venv), or uv`,
  );
}

async function must(argv, run) {
  const { ok, tail } = await runTool(argv, run);
  if (!ok) throw new SetupError(1, `the Python environment could not be made:\n${tail}`);
}
