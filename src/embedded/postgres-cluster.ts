import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readlink, realpath, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AsgardError } from '../platform/errors.ts';
import { ChildProcess } from '../platform/process.ts';
import { commandLineOfProcess } from '../platform/process-identity.ts';
import { processesNaming } from '../platform/process-search.ts';
import { endLeftover } from './leftover.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { SUPERUSER } from './postgres-databases.ts';
import { removeSockets } from './postgres-socket.ts';
import { SYSTEM_ENVIRONMENT, type Unprivileged } from './unprivileged.ts';

const INITDB_TIMEOUT_MS = 60_000;
const settings = z.object({ port: z.int().min(0).max(65_535), password: z.string().min(1) });

/** What is kept beside the cluster's folder, readable by its owner alone. */
export type PostgresSettings = z.infer<typeof settings>;

/** Writes `<folder>.json` whole or not at all. */
export async function writeSettings(folder: string, value: PostgresSettings): Promise<void> {
  const path = `${folder}.json`;
  await writeFile(`${path}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
}

/**
 * Makes the cluster when there is none and returns its settings. It is made in `<folder>.new` and then moved, so that one
 * whose making was cut short never counts.
 * @throws AsgardError `UNAVAILABLE` when initdb fails, or when the folder holds something else or a cluster of another major version
 */
export async function ensureCluster(
  folder: string,
  binaries: PostgresBinaries,
  runAs: Unprivileged,
  signal: AbortSignal,
): Promise<PostgresSettings> {
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) return await createCluster(folder, binaries, runAs, signal);
  const known = settings.safeParse(await readJson(`${folder}.json`));
  if (known.success) return known.data;
  throw new AsgardError(
    'UNAVAILABLE',
    `${folder}.json, which holds the password of the database in ${folder}, is missing or damaged: restore it`,
  );
}

async function createCluster(
  folder: string,
  binaries: PostgresBinaries,
  runAs: Unprivileged,
  signal: AbortSignal,
): Promise<PostgresSettings> {
  const draft = `${folder}.new`;
  // One that a killed Asgard was making is still being written to.
  for (const pid of await processesNaming(`${draft}/`)) await endLeftover(pid, [{ signal: 'SIGKILL', waitMs: 2_000 }]);
  // What it started itself ends when it sees it gone.
  await rm(draft, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  await rmdir(folder).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
      const message = `${folder} is no PostgreSQL cluster and is not empty: move it away, or set ASGARD_HOME`;
      throw new AsgardError('UNAVAILABLE', message, { cause: error });
    }
  });
  await mkdir(draft, { recursive: true, mode: 0o700 });
  const value = { port: 0, password: randomBytes(24).toString('base64url') };
  const passwordFile = join(draft, 'password');
  await writeFile(passwordFile, `${value.password}\n`, { mode: 0o600 });
  await runAs.own(draft);
  const cluster = join(draft, 'cluster');
  await run(
    [
      ...runAs.prefix,
      binaries.initdb,
      `--pgdata=${cluster}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      // Knows Unicode without any locale of the machine, and sorts alike everywhere.
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-instructions',
    ],
    runAs,
    signal,
  );
  await writeSettings(folder, value);
  await rename(cluster, folder);
  await rm(draft, { recursive: true, force: true });
  return value;
}

/** Ends a server that an earlier Asgard left running on this cluster, so that the next one finds it free. */
export async function endLeftoverServer(folder: string): Promise<void> {
  const lockFile = join(folder, 'postmaster.pid');
  const holder = Number.parseInt(await readFile(lockFile, 'utf8').catch(() => ''), 10);
  // One that was just being started has no lock yet.
  const pids = new Set(await processesNaming(`-D\0${folder}\0`));
  if (Number.isInteger(holder) && holder > 1) {
    const command = commandLineOfProcess(holder);
    // A server's working directory is its cluster, whatever the name by which it was told of it.
    const cluster = await readlink(`/proc/${holder}/cwd`).catch(() => null);
    if (cluster === (await realpath(folder)) || command?.includes(` -D ${folder} `) === true) {
      pids.add(holder);
    } else if (command?.includes('postgres') === true) {
      // Removing the lock of a server that lives would let a second one onto its files.
      throw new AsgardError(
        'CONFLICT',
        `PostgreSQL runs on ${folder} already, as process ${holder}: end it and start again`,
      );
    }
  }
  for (const pid of pids) {
    await endLeftover(pid, [
      { signal: 'SIGINT', waitMs: 3_000 },
      { signal: 'SIGQUIT', waitMs: 2_000 },
      { signal: 'SIGKILL', waitMs: 2_000 },
    ]);
  }
  // The number may belong to another program by now, and PostgreSQL would refuse to start for it.
  await rm(lockFile, { force: true });
  await removeSockets(folder);
}

async function run(argv: readonly string[], runAs: Unprivileged, signal: AbortSignal): Promise<void> {
  const [program = '', ...args] = argv;
  const bound = AbortSignal.any([signal, AbortSignal.timeout(INITDB_TIMEOUT_MS)]);
  bound.throwIfAborted();
  await using child = await ChildProcess.start({
    argv: [program, ...args],
    env: SYSTEM_ENVIRONMENT,
    uid: runAs.uid,
    gid: runAs.gid,
  });
  const onAbort = () => void child.terminate({ graceMs: 1_000 });
  bound.addEventListener('abort', onAbort, { once: true });
  const { code } = await child.exited;
  bound.removeEventListener('abort', onAbort);
  bound.throwIfAborted();
  if (code !== 0) throw new AsgardError('UNAVAILABLE', `initdb failed:\n${child.tail.trim()}`);
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}
