import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../config.ts';
import { untilAborted } from '../platform/abort.ts';
import { AsgardError } from '../platform/errors.ts';
import { ChildProcess } from '../platform/process.ts';
import { uvVariables } from './script-environment.ts';

/** The packages that every environment has, so that the guide's scripts run without naming any. */
const BASE_REQUIREMENTS = join(PROJECT_ROOT, 'python', 'job-base.in');
/** How long one run of uv may take when the caller's signal does not end it earlier. */
const UV_LIMIT_MS = 30 * 60_000;

/** An environment on this machine, ready to run scripts. */
export interface PythonEnvironment {
  /** The first 16 hexadecimal digits of the SHA-256 of lock and Python version: equal locks share one folder. */
  readonly hash: string;
  readonly folder: string;
  /** The interpreter in it. */
  readonly python: string;
  /** `name==version` lines, as `uv pip compile` wrote them. */
  readonly lock: string;
  readonly pythonVersion: string;
}

export interface PrepareOptions {
  /** PEP 508 requirements beside the base packages. */
  readonly requirements: readonly string[];
  /** Called for each line that tells what is being done. */
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Makes environments and keeps them, each in a folder named by the hash of its lock. What a set of requirements resolved
 * to is kept too, so that preparing it again needs no network.
 */
export class PythonEnvironments {
  readonly #folder: string;
  readonly #toolchainPython: string;
  readonly #building = new Map<string, Promise<PythonEnvironment>>();

  /** @param toolchain the folder that the set-up made; its `python` environment has uv */
  constructor(options: { folder: string; toolchain: string }) {
    this.#folder = options.folder;
    this.#toolchainPython = toolchainPython(options.toolchain);
  }

  /** Removes what builds left here that were killed with their platform. A build that is under way is younger. */
  async removeLeftovers(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names.filter((entry) => entry.startsWith('.partial-'))) {
      const path = join(this.#folder, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
      if (Date.now() - mtimeMs > 2 * UV_LIMIT_MS) await rm(path, { recursive: true, force: true });
    }
  }

  /**
   * Resolves the requirements and makes their environment when it is not there yet.
   * @throws AsgardError INVALID_INPUT when they cannot be resolved or installed; uv's own words went to `onLine`
   */
  async prepare(options: PrepareOptions): Promise<PythonEnvironment> {
    const { lock, pythonVersion } = await this.#resolve(options);
    return this.prepareLocked(lock, pythonVersion, options);
  }

  /** Makes the environment of a lock when it is not there yet. Of several calls for one hash here, one builds it. */
  async prepareLocked(
    lock: string,
    pythonVersion: string,
    options: Pick<PrepareOptions, 'onLine' | 'signal'> = {},
  ): Promise<PythonEnvironment> {
    const hash = sha256(`${pythonVersion}\n${lock}`).slice(0, 16);
    const folder = join(this.#folder, hash);
    const environment = { hash, folder, python: join(folder, 'bin', 'python'), lock, pythonVersion };
    if (await exists(environment.python)) return environment;
    const running = this.#building.get(hash);
    if (running !== undefined) {
      options.onLine?.(`Waiting for environment ${hash}, which another job is building`);
      return untilAborted(running, options.signal).catch(() => {
        options.signal?.throwIfAborted();
        return this.prepareLocked(lock, pythonVersion, options);
      });
    }
    const build = this.#build(environment, options).finally(() => this.#building.delete(hash));
    this.#building.set(hash, build);
    return build;
  }

  async #resolve({ requirements, onLine, signal }: PrepareOptions) {
    const base = await readFile(BASE_REQUIREMENTS, 'utf8');
    const wanted = [...new Set(requirements.map((line) => line.trim()))].sort();
    const pythonVersion = await this.#pythonVersion(signal);
    const lines = [...withoutReplaced(base, wanted), ...wanted];
    const key = sha256([pythonVersion, ...lines].join('\n')).slice(0, 32);
    const cached = join(this.#folder, 'resolutions', `${key}.txt`);
    const known = await readFile(cached, 'utf8').catch(() => null);
    if (known !== null) return { lock: known, pythonVersion };

    await mkdir(join(this.#folder, 'resolutions'), { recursive: true });
    const input = `${cached}.${randomUUID()}.in`;
    const output = `${input}.lock`;
    try {
      await writeFile(input, `${lines.join('\n')}\n`);
      onLine?.(`Resolving ${wanted.length === 0 ? 'the base packages' : wanted.join(', ')}`);
      const compile = [
        'pip',
        'compile',
        input,
        '--output-file',
        output,
        '--no-header',
        '--no-annotate',
        '--quiet',
        '--no-build',
      ];
      await this.#uv([...compile, '--python', this.#toolchainPython], 'resolve the requirements', onLine, signal);
      await rename(output, cached);
      return { lock: await readFile(cached, 'utf8'), pythonVersion };
    } finally {
      await Promise.all([rm(input, { force: true }), rm(output, { force: true })]);
    }
  }

  /**
   * Built beside its place and then renamed to it: a folder with the name of a hash is always whole, whatever was killed
   * meanwhile. Another process on this machine may build the same one; the first to finish wins, the other's is dropped.
   */
  async #build(
    environment: PythonEnvironment,
    { onLine, signal }: Pick<PrepareOptions, 'onLine' | 'signal'>,
  ): Promise<PythonEnvironment> {
    const partial = join(this.#folder, `.partial-${environment.hash}-${randomUUID()}`);
    const lockFile = `${partial}.txt`;
    await mkdir(this.#folder, { recursive: true });
    try {
      onLine?.(`Building environment ${environment.hash}`);
      await writeFile(lockFile, environment.lock);
      const venv = ['venv', '--quiet', '--relocatable', '--python', this.#toolchainPython, partial];
      await this.#uv(venv, 'make the environment', onLine, signal);
      // Bytecode is compiled here once: compiling while importing costs mlflow alone 5 s of CPU in every new job.
      const install = ['pip', 'install', '--compile-bytecode', '--no-build', '--no-deps', '--requirement', lockFile];
      await this.#uv([...install, '--python', join(partial, 'bin', 'python')], 'install the packages', onLine, signal);
      await rename(partial, environment.folder).catch(async (error: unknown) => {
        if (!(await exists(environment.python))) throw error;
      });
      return environment;
    } finally {
      await Promise.all([rm(partial, { recursive: true, force: true }), rm(lockFile, { force: true })]);
    }
  }

  async #pythonVersion(signal: AbortSignal | undefined): Promise<string> {
    // The version is in the file that venv writes: no interpreter need be started for it.
    const settings = await readFile(join(this.#toolchainPython, '..', '..', 'pyvenv.cfg'), 'utf8');
    signal?.throwIfAborted();
    const version = /^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)/m.exec(settings)?.[1];
    if (version === undefined) throw new Error(`no Python version in the toolchain of ${this.#toolchainPython}`);
    return version;
  }

  async #uv(args: string[], task: string, onLine: PrepareOptions['onLine'], signal: AbortSignal | undefined) {
    const limit = AbortSignal.any([AbortSignal.timeout(UV_LIMIT_MS), ...(signal === undefined ? [] : [signal])]);
    limit.throwIfAborted();
    await using uv = await ChildProcess.start({
      argv: [this.#toolchainPython, '-m', 'uv', ...args],
      env: uvVariables(),
      ...(onLine === undefined ? {} : { onLine: (_stream: string, line: string) => isTold(line) && onLine(line) }),
    });
    const stop = () => void uv.terminate({ graceMs: 1000 });
    limit.addEventListener('abort', stop);
    try {
      const { code } = await uv.exited;
      limit.throwIfAborted();
      if (code !== 0) {
        throw new AsgardError('INVALID_INPUT', `could not ${task}: ${lastLineOf(uv.tail)}`);
      }
    } finally {
      limit.removeEventListener('abort', stop);
    }
  }
}

/** The interpreter of the platform's own Python packages, which the set-up made. User code never runs in it. */
export function toolchainPython(toolchain: string): string {
  return join(toolchain, 'python', 'bin', 'python');
}

/** The base packages, without those of which the job names a version itself. */
function withoutReplaced(base: string, wanted: readonly string[]): string[] {
  const replaced = new Set(wanted.filter((line) => /[=<>~!]/.test(line.split(';', 1)[0] ?? '')).map(packageName));
  const lines = base.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.filter((line) => !replaced.has(packageName(line)));
}

/** As PEP 503 normalizes it. */
function packageName(requirement: string): string {
  const [name = ''] = requirement.split(/[^A-Za-z0-9._-]/, 1);
  return name.toLowerCase().replaceAll(/[-_.]+/g, '-');
}

/** uv names the folder that is being built, under a name that it soon has no more. */
function isTold(line: string): boolean {
  return !line.startsWith('Using Python ');
}

function lastLineOf(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.at(-1)?.trim() ?? 'uv said nothing';
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
