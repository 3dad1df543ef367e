import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { diskUse } from '../platform/disk-use.ts';
import { messageOf } from '../platform/errors.ts';
import { FileLock } from '../platform/file-lock.ts';
import { evictLeastUsed } from './environment-budget.ts';
import { EnvironmentHolds, environmentLockPath } from './environment-holds.ts';
import type { BuildFacts, EnvironmentObserver } from './environment-observer.ts';
import { type Resolution, type ResolveOptions, Resolver } from './resolver.ts';
import { runUv } from './uv.ts';

/** An environment on this machine, ready to run scripts, and kept there until it is disposed of. */
export interface PythonEnvironment extends Resolution, Disposable {
  /** The first 16 hexadecimal digits of the SHA-256 of lock and Python version: equal locks share one folder. */
  readonly hash: string;
  readonly folder: string;
  /** The interpreter in it. */
  readonly python: string;
}

type Place = Omit<PythonEnvironment, keyof Disposable>;

type BuildOptions = Omit<ResolveOptions, 'requirements'>;

/** In an environment: what its build came to. */
const FACTS = 'asgard-build.json';
const buildFacts: z.ZodType<BuildFacts> = z.object({ seconds: z.number(), bytes: z.number() });

/** Between two looks at what another one builds. */
const WAIT_MS = 50;

const PARTIAL = /^\.partial-([0-9a-f]{16})-/;

/**
 * Makes environments and keeps them, each in a folder named by the hash of its lock. Any number of threads and processes
 * may share the folder: one of them builds an environment, and nobody removes one that is in use.
 */
export class PythonEnvironments {
  readonly #folder: string;
  readonly #toolchainPython: string;
  readonly #resolver: Resolver;
  readonly #observer: EnvironmentObserver | undefined;
  readonly #limitBytes: number;
  readonly #holds = new EnvironmentHolds();

  /**
   * @param options.toolchain the folder that the set-up made; its `python` environment has uv
   * @param options.limitBytes what environments may take on the disk together; absent or 0: as much as they like
   */
  constructor(options: { folder: string; toolchain: string; limitBytes?: number; observer?: EnvironmentObserver }) {
    this.#limitBytes = options.limitBytes ?? 0;
    this.#observer = options.observer;
    this.#folder = options.folder;
    this.#toolchainPython = toolchainPython(options.toolchain);
    this.#resolver = new Resolver({ folder: join(options.folder, 'resolutions'), python: this.#toolchainPython });
  }

  /** Removes what builds left here that were killed with their platform. One that is under way is left alone. */
  async removeLeftovers(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const hash of new Set(names.flatMap((name) => PARTIAL.exec(name)?.[1] ?? []))) {
      using lock = await FileLock.tryAcquire(this.#lockPath(hash), 'exclusive');
      if (lock !== null) await this.#removePartial(hash);
    }
    for (const hash of (await this.#observer?.unfinished()) ?? []) {
      using lock = await FileLock.tryAcquire(this.#lockPath(hash), 'exclusive');
      if (lock !== null) await this.#observer?.failed(hash, 'its build was cut short');
    }
    await this.#resolver.removeForgotten();
  }

  /** Removes environments that nobody uses, those first that were not used for the longest time, down to the limit. */
  async makeRoom(): Promise<void> {
    if (this.#limitBytes === 0) return;
    const onEvicted = async (hash: string) => this.#observer?.evicted(hash);
    await evictLeastUsed({ folder: this.#folder, limitBytes: this.#limitBytes, onEvicted });
  }

  /** @throws AsgardError INVALID_INPUT when the requirements cannot be resolved; uv's own words went to `onLine` */
  async resolve(options: ResolveOptions): Promise<Resolution & { readonly hash: string }> {
    const resolution = await this.#resolver.resolve(options);
    return { ...resolution, hash: environmentHash(resolution.lock, resolution.pythonVersion) };
  }

  /**
   * Resolves the requirements and makes their environment when it is not there yet.
   * @throws AsgardError INVALID_INPUT when they cannot be resolved or installed; uv's own words went to `onLine`
   */
  async prepare(options: ResolveOptions): Promise<PythonEnvironment> {
    const { lock, pythonVersion } = await this.resolve(options);
    return this.prepareLocked(lock, pythonVersion, options);
  }

  /** Makes the environment of a lock when it is not there yet. Of all that ask for one hash at once, one builds it. */
  async prepareLocked(lock: string, pythonVersion: string, options: BuildOptions = {}): Promise<PythonEnvironment> {
    const place = this.#placeOf(lock, pythonVersion);
    const { signal, onLine } = options;
    let isNew = false;
    for (let waits = 0; ; ) {
      if (await exists(place.python)) {
        const release = await this.#holds.hold(place.folder, { signal });
        // From here on it cannot be removed; before that it could.
        if (await exists(place.python)) {
          await this.#observer?.used(place.hash, place, await readFacts(place.folder));
          // Not waited for, and no failure of this one: the platform tries again by and by.
          if (isNew) void this.makeRoom().catch(() => {});
          return { ...place, [Symbol.dispose]: release };
        }
        release();
      }
      using alone = await FileLock.tryAcquire(this.#lockPath(place.hash), 'exclusive');
      if (alone !== null) {
        isNew = !(await exists(place.python));
        if (isNew) await this.#buildObserved(place, options);
        continue;
      }
      waits += 1;
      if (waits === 2) onLine?.(`Waiting for environment ${place.hash}, which is being built for another job`);
      await delay(WAIT_MS, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  async #buildObserved(place: Place, options: BuildOptions): Promise<void> {
    await this.#observer?.building(place.hash, place);
    try {
      await this.#build(place, options);
    } catch (error) {
      await this.#observer?.failed(place.hash, messageOf(error));
      throw error;
    }
  }

  /**
   * Built beside its place and then renamed to it: a folder with the name of a hash is always whole, whatever was killed
   * meanwhile.
   */
  async #build(place: Place, { onLine, signal }: BuildOptions): Promise<void> {
    await this.#removePartial(place.hash);
    const partial = join(this.#folder, `.partial-${place.hash}-${randomUUID()}`);
    const lockFile = `${partial}.txt`;
    const started = performance.now();
    const uv = (task: string, args: string[]) => runUv(this.#toolchainPython, args, { task, onLine, signal });
    await mkdir(this.#folder, { recursive: true });
    try {
      onLine?.(`Building environment ${place.hash}`);
      await writeFile(lockFile, place.lock);
      const python = ['--python', this.#toolchainPython];
      await uv('make the environment', ['venv', '--quiet', '--relocatable', ...python, partial]);
      // Bytecode is compiled here once: compiling while importing costs mlflow alone 5 s of CPU in every new job.
      const how = ['--compile-bytecode', '--no-build', '--no-deps', '--python', join(partial, 'bin', 'python')];
      await uv('install the packages', ['pip', 'install', ...how, '--requirement', lockFile]);
      const [bytes = 0] = await diskUse([partial]);
      const facts = { seconds: Number(((performance.now() - started) / 1000).toFixed(3)), bytes };
      await writeFile(join(partial, FACTS), JSON.stringify(facts));
      await rename(partial, place.folder);
    } finally {
      await Promise.all([rm(partial, { recursive: true, force: true }), rm(lockFile, { force: true })]);
    }
  }

  /** To be called by who holds the environment alone. */
  async #removePartial(hash: string): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    const left = names.filter((name) => PARTIAL.exec(name)?.[1] === hash);
    await Promise.all(left.map((name) => rm(join(this.#folder, name), { recursive: true, force: true })));
  }

  #placeOf(lock: string, pythonVersion: string): Place {
    const hash = environmentHash(lock, pythonVersion);
    const folder = join(this.#folder, hash);
    return { hash, folder, python: join(folder, 'bin', 'python'), lock, pythonVersion };
  }

  #lockPath(hash: string): string {
    return environmentLockPath(join(this.#folder, hash));
  }
}

/** The interpreter of the platform's own Python packages, which the set-up made. User code never runs in it. */
export function toolchainPython(toolchain: string): string {
  return join(toolchain, 'python', 'bin', 'python');
}

function environmentHash(lock: string, pythonVersion: string): string {
  return createHash('sha256').update(`${pythonVersion}\n${lock}`).digest('hex').slice(0, 16);
}

async function readFacts(environmentFolder: string): Promise<BuildFacts | null> {
  try {
    return buildFacts.parse(JSON.parse(await readFile(join(environmentFolder, FACTS), 'utf8')));
  } catch {
    return null;
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
