import { mkdir, readlink, realpath, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AsgardError } from '../platform/errors.ts';
import { waitForHttp } from '../platform/http-wait.ts';
import { ChildProcess, freePort } from '../platform/process.ts';
import { processesNaming } from '../platform/process-search.ts';
import { forgetChild, recordChild, recordedChild } from './child-record.ts';
import { endLeftover } from './leftover.ts';
import { LogFile } from './log-file.ts';
import { type ManagedMlflowOptions, mlflowEnvironment, passingFolder } from './mlflow-environment.ts';

const READY_TIMEOUT_MS = 180_000;
const STOP_GRACE_MS = 1_000;
const FIRST_RESTART_MS = 250;
const LONGEST_RESTART_MS = 30_000;
/** A server that lived this long starts its pauses anew when it ends. */
const STEADY_MS = 60_000;
const PROGRAM = resolve(import.meta.dirname, 'mlflow_server.py');
const PROGRAM_HOST = '127.0.0.1';
/** In the bucket's prefix, beside the scripts, which it does not serve. */
const S3_FOLDER = 'artifacts';

/**
 * An MLflow server of our own on a free port of 127.0.0.1: one process, artifacts through the server, no job runner, no
 * telemetry. It accepts requests whose Host and Origin are localhost or 127.0.0.1 with any port, its own default.
 * When it dies it is started again on the same port, with pauses from 0.25 to 30 seconds.
 */
export class ManagedMlflow implements AsyncDisposable {
  /** `http://127.0.0.1:<port>`, the same for as long as this object lives. */
  readonly url: string;
  /**
   * Resolves at the first answer. Rejects with the end of its output when the first server ends before that, or after
   * 180 seconds; it is started again all the same.
   */
  readonly ready: Promise<void>;
  readonly #options: ManagedMlflowOptions;
  readonly #recordFile: string;
  readonly #log: LogFile;
  readonly #stopping = new AbortController();
  readonly #supervision: Promise<void>;
  #server: ChildProcess;

  /**
   * Resolves when the process runs; it answers some seconds later, see `ready`.
   * A server that a killed Asgard left behind is ended first.
   * @throws AsgardError `UNAVAILABLE` when the interpreter cannot be started
   */
  static async start(options: ManagedMlflowOptions): Promise<ManagedMlflow> {
    const recordFile = join(dirname(resolve(options.artifactsFolder)), 'server.json');
    await mkdir(options.artifactsFolder, { recursive: true });
    if (options.s3 !== undefined) {
      // What a killed server was in the middle of.
      await rm(passingFolder(options), { recursive: true, force: true });
      await mkdir(passingFolder(options), { mode: 0o700 });
    }
    await endLeftoverServers(options, recordFile);
    const log = await LogFile.open(options.logFile);
    try {
      const port = await freePort();
      const server = await spawnServer(options, port, log, recordFile);
      return new ManagedMlflow(options, port, log, recordFile, server);
    } catch (cause) {
      await log[Symbol.asyncDispose]();
      const message = `MLflow cannot be started with ${options.python}: run the set-up (npm start does), or set MLFLOW_TRACKING_URI`;
      throw new AsgardError('UNAVAILABLE', message, { cause });
    }
  }

  private constructor(
    options: ManagedMlflowOptions,
    port: number,
    log: LogFile,
    recordFile: string,
    server: ChildProcess,
  ) {
    this.#options = options;
    this.#log = log;
    this.#recordFile = recordFile;
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
    this.ready = this.#waitUntilReady(server);
    this.ready.catch(() => undefined); // whoever awaits it is told
    this.#supervision = this.#supervise(port);
  }

  /** The process id of the server that runs now, or ran last. */
  get pid(): number {
    return this.#server.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new AsgardError('UNAVAILABLE', 'the MLflow server is being stopped'));
    await this.#server.terminate({ graceMs: STOP_GRACE_MS });
    await this.#supervision;
    await this.#server.terminate({ graceMs: STOP_GRACE_MS });
    await forgetChild(this.#recordFile);
    await this.#log[Symbol.asyncDispose]().catch(() => undefined);
  }

  async #waitUntilReady(server: ChildProcess): Promise<void> {
    const started = performance.now();
    const ended = new AbortController();
    void server.exited.then(() => ended.abort());
    const timeout = AbortSignal.timeout(READY_TIMEOUT_MS);
    try {
      await waitForHttp(`${this.url}/health`, AbortSignal.any([ended.signal, timeout, this.#stopping.signal]));
    } catch {
      this.#stopping.signal.throwIfAborted();
      const what = ended.signal.aborted ? 'ended' : `did not answer for ${READY_TIMEOUT_MS / 1_000} seconds`;
      const tail = await this.#log.tail();
      throw new AsgardError('UNAVAILABLE', `the MLflow server ${what}; ${this.#log.path} ends with:\n${tail}`);
    }
    const seconds = Number(((performance.now() - started) / 1_000).toFixed(3));
    this.#options.logger?.info({ url: this.url, pid: server.pid, seconds }, 'mlflow.ready');
  }

  /** Starts the server again whenever it ends, until this object is disposed of. */
  async #supervise(port: number): Promise<void> {
    const { signal } = this.#stopping;
    let pauseMs = FIRST_RESTART_MS;
    while (!signal.aborted) {
      const started = Date.now();
      const { code, signal: endedBy } = await this.#server.exited;
      if (signal.aborted) return;
      if (Date.now() - started > STEADY_MS) pauseMs = FIRST_RESTART_MS;
      this.#options.logger?.error({ code, signal: endedBy, pauseMs }, 'mlflow.died');
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LONGEST_RESTART_MS);
      if (signal.aborted) return;
      try {
        this.#server = await spawnServer(this.#options, port, this.#log, this.#recordFile);
        this.#options.logger?.info({ pid: this.#server.pid }, 'mlflow.restarted');
      } catch (error) {
        this.#options.logger?.error({ err: error }, 'mlflow.restart_failed');
      }
    }
  }
}

/** Ends what a killed Asgard left behind: the server that it kept a record of, or was just about to. */
async function endLeftoverServers(options: ManagedMlflowOptions, recordFile: string): Promise<void> {
  const recorded = await recordedChild(recordFile);
  const found = await processesNaming(`${PROGRAM}\0${PROGRAM_HOST}\0`);
  const folder = await realpath(dirname(resolve(options.artifactsFolder)));
  const here = await Promise.all(
    found.map(async (pid) => ((await readlink(`/proc/${pid}/cwd`).catch(() => null)) === folder ? [pid] : [])),
  );
  for (const pid of new Set([...(recorded === undefined ? [] : [recorded]), ...here.flat()])) {
    const steps = [
      { signal: 'SIGTERM', waitMs: 3_000 },
      { signal: 'SIGKILL', waitMs: 2_000 },
    ] as const;
    await endLeftover(pid, steps, true);
  }
}

async function spawnServer(
  options: ManagedMlflowOptions,
  port: number,
  log: LogFile,
  recordFile: string,
): Promise<ChildProcess> {
  await log.mark();
  const server = await ChildProcess.start({
    argv: [options.python, PROGRAM, PROGRAM_HOST, String(port), artifactsOf(options)],
    env: mlflowEnvironment(options),
    cwd: dirname(resolve(options.artifactsFolder)),
    outputFd: log.fd,
  });
  try {
    await recordChild(recordFile, server.pid);
  } catch (error) {
    await server.terminate({ graceMs: 0 });
    throw error;
  }
  return server;
}

function artifactsOf({ artifactsFolder, s3 }: ManagedMlflowOptions): string {
  if (s3 === undefined) return resolve(artifactsFolder);
  return `s3://${[s3.bucket, s3.prefix, S3_FOLDER].filter(Boolean).join('/')}`;
}
