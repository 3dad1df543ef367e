import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PROJECT_ROOT } from '../config.ts';
import { FileLock } from '../platform/file-lock.ts';
import { uvVariables } from './script-environment.ts';
import { runUv, UvError } from './uv.ts';

/** The packages that every environment has, so that the guide's scripts run without naming any. */
const BASE_REQUIREMENTS = join(PROJECT_ROOT, 'python', 'job-base.in');
/** What scripts that use the feature store have beside them. */
export const FEAST_REQUIREMENTS = join(PROJECT_ROOT, 'python', 'job-feast.in');
const FRESH_MS = 24 * 3_600_000;
/** An index that could not be reached is not asked again for so long, when there is an older answer of it. */
const RETRY_MS = 10 * 60_000;
const FORGOTTEN_MS = 90 * 24 * 3_600_000;

const remembered = z.object({ lock: z.string().min(1), resolvedAt: z.iso.datetime(), freshUntil: z.iso.datetime() });

/** What requirements resolved to. */
export interface Resolution {
  /** `name==version` lines, as `uv pip compile` wrote them. */
  readonly lock: string;
  readonly pythonVersion: string;
}

export interface ResolveOptions {
  /** PEP 508 requirements beside the base packages. */
  readonly requirements: readonly string[];
  /** Whether what reads the feature store is among the base packages. */
  readonly usesFeast?: boolean;
  /** Called for each line that tells what is being done. */
  readonly onLine?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Turns requirements into locks. What a set of them came to is remembered in the folder, for every process that uses it:
 * for 24 hours it costs no call of uv, and behind that it stands in while no index can be reached.
 */
export class Resolver {
  readonly #folder: string;
  readonly #python: string;

  /** @param options.python the toolchain's interpreter, which has uv and the version that jobs run with */
  constructor(options: { folder: string; python: string }) {
    this.#folder = options.folder;
    this.#python = options.python;
  }

  /** @throws UvError when they cannot be resolved; uv's own words went to `onLine` */
  async resolve({ requirements, usesFeast = false, onLine, signal }: ResolveOptions): Promise<Resolution> {
    const files = [BASE_REQUIREMENTS, ...(usesFeast ? [FEAST_REQUIREMENTS] : [])];
    const base = (await Promise.all(files.map((path) => readFile(path, 'utf8')))).join('\n');
    const wanted = [...new Set(requirements.map((line) => line.trim()))].sort();
    const pythonVersion = await this.#pythonVersion();
    signal?.throwIfAborted();
    const lines = [...withoutReplaced(base, wanted), ...wanted];
    const path = join(this.#folder, `${keyOf([pythonVersion, ...lines, ...indexSettings()])}.json`);
    const known = await read(path);
    if (known !== null && isFresh(known)) return { lock: known.lock, pythonVersion };

    // Of many that ask for the same at once, one asks uv.
    using _turn = await FileLock.acquire(`${path}.lock`, 'exclusive', { signal });
    const older = await read(path);
    if (older !== null && isFresh(older)) return { lock: older.lock, pythonVersion };
    const named = [...(usesFeast ? ['feast'] : []), ...wanted];
    onLine?.(`Resolving ${named.length === 0 ? 'the base packages' : named.join(', ')}`);
    try {
      const lock = await this.#compile(lines, older !== null, onLine, signal);
      const now = Date.now();
      await write(path, { lock, resolvedAt: iso(now), freshUntil: iso(now + FRESH_MS) });
      return { lock, pythonVersion };
    } catch (error) {
      if (older === null || !(error instanceof UvError && error.isPassing)) throw error;
      onLine?.(`Going on with the versions of ${older.resolvedAt}, as they cannot be resolved anew: ${error.message}`);
      await write(path, { ...older, freshUntil: iso(Date.now() + RETRY_MS) });
      return { lock: older.lock, pythonVersion };
    }
  }

  /** Removes what has not been resolved for so long that nobody asks for it any more. */
  async removeForgotten(): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const path = join(this.#folder, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
      if (!name.endsWith('.lock') && Date.now() - mtimeMs > FORGOTTEN_MS) await rm(path, { force: true });
    }
  }

  async #compile(
    lines: readonly string[],
    hasOlder: boolean,
    onLine: ResolveOptions['onLine'],
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const input = join(this.#folder, `${randomUUID()}.in`);
    const output = `${input}.txt`;
    try {
      await writeFile(input, `${lines.join('\n')}\n`);
      const how = ['--no-header', '--no-annotate', '--quiet', '--no-build', '--python', this.#python];
      await runUv(this.#python, ['pip', 'compile', input, '--output-file', output, ...how], {
        task: 'resolve the requirements',
        onLine,
        signal,
        // With something to go on with, nobody waits a quarter of a minute to hear that there is no index.
        ...(hasOlder && { variables: { UV_HTTP_RETRIES: '1' } }),
      });
      return await readFile(output, 'utf8');
    } finally {
      await Promise.all([rm(input, { force: true }), rm(output, { force: true })]);
    }
  }

  async #pythonVersion(): Promise<string> {
    // The version is in the file that venv writes: no interpreter need be started for it.
    const settings = await readFile(join(this.#python, '..', '..', 'pyvenv.cfg'), 'utf8');
    const version = /^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)/m.exec(settings)?.[1];
    if (version === undefined) throw new Error(`no Python version in the toolchain of ${this.#python}`);
    return version;
  }
}

async function read(path: string): Promise<z.infer<typeof remembered> | null> {
  try {
    return remembered.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return null;
  }
}

async function write(path: string, content: z.infer<typeof remembered>): Promise<void> {
  const partial = `${path}.${randomUUID()}`;
  await writeFile(partial, JSON.stringify(content));
  await rename(partial, path);
}

function isFresh({ freshUntil }: z.infer<typeof remembered>): boolean {
  return Date.now() < Date.parse(freshUntil);
}

/** Where packages come from and which of their versions count: of other settings the same names are another set. */
function indexSettings(): string[] {
  const { UV_CACHE_DIR: _cache, ...settings } = uvVariables();
  return Object.entries(settings)
    .filter(([name]) => name.startsWith('UV_'))
    .map(([name, value]) => `${name}=${value}`)
    .toSorted();
}

/** The base packages. Of those of which the job names a version itself, their extras alone are asked for. */
function withoutReplaced(base: string, wanted: readonly string[]): string[] {
  const replaced = new Set(wanted.filter((line) => /[=<>~!]/.test(line.split(';', 1)[0] ?? '')).map(packageName));
  const lines = base.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.flatMap((line) => {
    if (!replaced.has(packageName(line))) return [line];
    return /^[^=<>~!;]+\[[^\]]*\]/.exec(line)?.slice(0, 1) ?? [];
  });
}

/** As PEP 503 normalizes it. */
function packageName(requirement: string): string {
  const [name = ''] = requirement.split(/[^A-Za-z0-9._-]/, 1);
  return name.toLowerCase().replaceAll(/[-_.]+/g, '-');
}

function keyOf(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
