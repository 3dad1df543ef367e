import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AsgardError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { ChildProcess, freePort, type ProcessExit } from '../platform/process.ts';
import { LogFile } from './log-file.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import { endLeftoverServer, ensureCluster, type PostgresSettings, writeSettings } from './postgres-cluster.ts';
import { databaseUrl, ensureDatabases, isAnswering } from './postgres-databases.ts';
import { socketFolder } from './postgres-socket.ts';
import { SYSTEM_ENVIRONMENT, type Unprivileged, unprivileged } from './unprivileged.ts';

const START_TIMEOUT_MS = 60_000;
const MAX_ATTEMPTS = 5;
const POLL_MS = 10;
/** PostgreSQL's own words for what another port, or some patience, cures. */
const PORT_TAKEN = /could not bind|could not create any TCP\/IP sockets/;
const STILL_IN_USE = /pre-existing shared memory block|lock file "postmaster.pid" already exists/;

export interface EmbeddedPostgresOptions {
  /** The cluster. Its port and password lie beside it in `<folder>.json`. One process at a time may use it. */
  readonly folder: string;
  readonly logFile: string;
  readonly logger?: Logger;
  readonly signal?: AbortSignal;
}

/**
 * A PostgreSQL server of our own on 127.0.0.1 and a UNIX socket, from the binaries in node_modules. Disposing shuts it down
 * within 2 seconds: fast first, at once when that takes too long (the next start then recovers from the log).
 */
export class EmbeddedPostgres implements AsyncDisposable {
  readonly port: number;
  /** Settles when the server has ended, asked or not. */
  readonly exited: Promise<ProcessExit>;
  readonly #server: ChildProcess;
  readonly #log: LogFile;
  readonly #password: string;
  readonly #socketFolder: string | null;

  /**
   * Resolves when the server answers and the databases `asgard`, `mlflow` and `features` exist. A cluster is made on the first start.
   * A server that a killed Asgard left behind is ended first.
   * @throws AsgardError `UNAVAILABLE` when it cannot run on this machine; Error with the server's own words otherwise
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const started = performance.now();
    const folder = resolve(options.folder);
    const signals = [AbortSignal.timeout(START_TIMEOUT_MS), ...(options.signal === undefined ? [] : [options.signal])];
    const signal = AbortSignal.any(signals);
    const binaries = await postgresBinaries();
    await mkdir(dirname(folder), { recursive: true, mode: 0o700 });
    const runAs = await unprivileged(binaries.postgres, folder);
    const settings = await ensureCluster(folder, binaries, runAs, signal);
    await runAs.own(folder);
    await endLeftoverServer(folder);
    const log = await LogFile.open(options.logFile);
    try {
      const { server, port } = await startServer({ program: binaries.postgres, folder, runAs, log, settings, signal });
      const postgres = new EmbeddedPostgres({ server, port, password: settings.password, folder, log });
      try {
        await ensureDatabases(port, settings.password);
      } catch (error) {
        await postgres[Symbol.asyncDispose]();
        throw error;
      }
      const seconds = Number(((performance.now() - started) / 1_000).toFixed(3));
      options.logger?.info({ port, seconds }, 'postgres.started');
      return postgres;
    } catch (error) {
      await log[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor({ server, port, password, folder, log }: Started) {
    this.#server = server;
    this.port = port;
    this.#password = password;
    this.#socketFolder = socketFolder(folder);
    this.#log = log;
    this.exited = server.exited;
  }

  /** The address of a database: as its owner for those three, as the superuser for any other name. */
  url(database: string): string {
    return databaseUrl(this.port, this.#password, database);
  }

  /** The same for clients of `pg` by the UNIX socket, where a call takes 0.02 ms less; by TCP where there is none. */
  socketUrl(database: string): string {
    return databaseUrl(this.port, this.#password, database, this.#socketFolder ?? undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Backends are in sessions of their own: the server ends them when asked, and they end when they see it gone.
    for (const [signal, waitMs] of [
      ['SIGINT', 1_500],
      ['SIGQUIT', 300],
    ] as const) {
      if (!this.#server.kill(signal)) break;
      const waiting = new AbortController();
      await Promise.race([this.exited, delay(waitMs, undefined, { signal: waiting.signal }).catch(() => undefined)]);
      waiting.abort();
    }
    await this.#server.terminate({ signal: 'SIGKILL', graceMs: 0 });
    await this.#log[Symbol.asyncDispose]().catch(() => undefined);
  }
}

interface Started {
  readonly server: ChildProcess;
  readonly port: number;
  readonly password: string;
  readonly folder: string;
  readonly log: LogFile;
}

interface ServerStart {
  readonly program: string;
  readonly folder: string;
  readonly runAs: Unprivileged;
  readonly log: LogFile;
  readonly settings: PostgresSettings;
  readonly signal: AbortSignal;
}

async function startServer(start: ServerStart): Promise<{ server: ChildProcess; port: number }> {
  let port = start.settings.port;
  for (let attempt = 1; ; attempt++) {
    if (port === 0) port = await freePort();
    const outcome = await tryStart(start, port);
    if (typeof outcome !== 'string') {
      if (port !== start.settings.port) await writeSettings(start.folder, { ...start.settings, port });
      return { server: outcome, port };
    }
    const isCurable = PORT_TAKEN.test(outcome) || STILL_IN_USE.test(outcome);
    if (attempt === MAX_ATTEMPTS || !isCurable) {
      throw new AsgardError('UNAVAILABLE', `PostgreSQL did not start; ${start.log.path} ends with:\n${outcome}`);
    }
    if (PORT_TAKEN.test(outcome)) port = 0;
    else {
      // Backends of a killed server need a moment to notice; a server that was just being started then may take the lock late.
      await delay(500, undefined, { signal: start.signal });
      await endLeftoverServer(start.folder);
    }
  }
}

/** @returns the server once it answers, or the end of its log when it ended before that */
async function tryStart(start: ServerStart, port: number): Promise<ChildProcess | string> {
  const { runAs, folder, log, signal } = start;
  await log.mark();
  const options = {
    // From the cluster, which is its working directory: a path would have to be quoted.
    unix_socket_directories: socketFolder(folder) === null ? '' : '.',
    unix_socket_permissions: '0700',
    max_connections: '200',
    shared_buffers: '128MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
  };
  const [program = '', ...args] = [...runAs.prefix, start.program, '-D', folder, '-h', '127.0.0.1', '-p', String(port)];
  const server = await ChildProcess.start({
    argv: [program, ...args, ...Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    env: SYSTEM_ENVIRONMENT,
    uid: runAs.uid,
    gid: runAs.gid,
    outputFd: log.fd,
  });
  let hasEnded = false;
  void server.exited.then(() => {
    hasEnded = true;
  });
  try {
    while (!(await isAnswering(port, start.settings.password))) {
      if (hasEnded) return await log.tail();
      await delay(POLL_MS, undefined, { signal });
    }
    // Another server on this port would have refused our password.
    return server;
  } catch (error) {
    await server.terminate({ signal: 'SIGQUIT', graceMs: 1_000 });
    throw error;
  }
}
