import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { ChildProcess, freePort } from '../../src/platform/process.ts';
import { plainVariables } from './asgard.ts';
import type { Bench } from './bench.ts';

/** What is installed beside the toolchain. */
export const RAY = 'ray[default]==2.60.0';

const START_LIMIT_MS = 120_000;
const JOB_LIMIT_MS = 120_000;
const STATUS_POLL_MS = 20;
/** An address of the loopback interface that is not the dashboard's: Ray refuses to share one. */
const NODE_ADDRESS = '127.0.0.2';

interface RayJob {
  readonly status: 'PENDING' | 'RUNNING' | 'STOPPED' | 'SUCCEEDED' | 'FAILED';
  readonly message: string | null;
}

/** A Ray head with its jobs API, on this machine alone. */
export class Ray implements AsyncDisposable {
  readonly pid: number;
  /** From the command to the first answer of the jobs API. */
  readonly startMs: number;
  readonly #head: ChildProcess;
  readonly #port: number;
  readonly #folder: string;
  #count = 0;

  /** Installs Ray where it is missing, starts it and resolves when its jobs API answers. */
  static async start(bench: Bench): Promise<Ray> {
    const program = await installRay(bench);
    return bench.own(Ray.#start(bench, program));
  }

  static async #start(bench: Bench, program: string): Promise<Ray> {
    // Its sockets lie deep below this folder, and a socket's path has 107 bytes at most.
    const folder = await mkdtemp(join(tmpdir(), 'ray-'));
    const [port, dashboard] = [await freePort(), await freePort()];
    const options = {
      'node-ip-address': NODE_ADDRESS,
      port,
      'dashboard-host': '127.0.0.1',
      'dashboard-port': dashboard,
      'num-cpus': 2,
      'object-store-memory': 200_000_000,
      'temp-dir': folder,
    };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const startedAt = performance.now();
    const head = await ChildProcess.start({
      argv: [program, 'start', '--head', '--block', '--disable-usage-stats', ...words],
      env: plainVariables(dirname(program)),
    });
    const started = (ms: number) => new Ray(head, dashboard, folder, ms);
    try {
      while ((await call(dashboard, 'GET', JOBS).catch(() => null))?.status !== 200) {
        if (performance.now() - startedAt > START_LIMIT_MS) throw new Error(`Ray did not start:\n${head.tail}`);
        await delay(STATUS_POLL_MS, undefined, { signal: bench.signal });
      }
    } catch (error) {
      await started(0)[Symbol.asyncDispose]();
      throw error;
    }
    return started(performance.now() - startedAt);
  }

  private constructor(head: ChildProcess, port: number, folder: string, startMs: number) {
    this.#head = head;
    this.#port = port;
    this.#folder = folder;
    this.startMs = startMs;
    this.pid = head.pid;
  }

  /**
   * Hands in a command line. @returns the job's id once it was accepted
   */
  async submit(entrypoint: string): Promise<string> {
    this.#count += 1;
    const submission_id = `bench-${this.#count}`;
    const { status, body } = await call(this.#port, 'POST', JOBS, { submission_id, entrypoint });
    if (status !== 200) throw new Error(`Ray answered ${status}: ${body}`);
    return submission_id;
  }

  async job(id: string): Promise<RayJob> {
    const { status, body } = await call(this.#port, 'GET', JOBS + id);
    if (status !== 200) throw new Error(`Ray answered ${status}: ${body}`);
    return JSON.parse(body);
  }

  /** Asks for the status every 20 ms, which is the fastest way to see it, until it is the wanted one. */
  async untilStatus(id: string, wanted: 'RUNNING' | 'SUCCEEDED', signal: AbortSignal): Promise<void> {
    for (const deadline = Date.now() + JOB_LIMIT_MS; ; await delay(STATUS_POLL_MS, undefined, { signal })) {
      const { status, message } = await this.job(id);
      if (status === wanted) return;
      if (status === 'FAILED' || status === 'STOPPED') throw new Error(`Ray's job ended ${status}: ${message}`);
      if (Date.now() > deadline) throw new Error(`Ray's job is still ${status} after ${JOB_LIMIT_MS / 1000} s`);
    }
  }

  /** A job's whole output. */
  async logs(id: string): Promise<string> {
    const { body } = await call(this.#port, 'GET', `${JOBS}${id}/logs`);
    const { logs }: { logs: string } = JSON.parse(body);
    return logs;
  }

  /** Follows a job's output as Ray's own client does, until Ray ends it. */
  async tail(id: string, onLine: (text: string) => void): Promise<void> {
    const url = `ws://127.0.0.1:${this.#port}${JOBS}${id}/logs/tail`;
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('message', (message: Buffer) => message.toString().split('\n').forEach(onLine));
    await once(socket, 'close');
  }

  async stop(id: string): Promise<void> {
    await call(this.#port, 'POST', `${JOBS}${id}/stop`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#head[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const JOBS = '/api/jobs/';

/** @returns the program `ray` */
async function installRay({ toolchain, signal }: Bench): Promise<string> {
  const environment = join(toolchain, 'bench-ray');
  const uv = (...args: string[]) => promisify(execFile)(join(toolchain, 'python', 'bin', 'uv'), args, { signal });
  await uv('venv', '--allow-existing', '--quiet', environment);
  await uv('pip', 'install', '--quiet', '--compile-bytecode', '--python', join(environment, 'bin', 'python'), RAY);
  return join(environment, 'bin', 'ray');
}

/** Not `fetch`: Ray refuses the headers that Node's sends. */
function call(port: number, method: string, path: string, body?: object): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => void chunks.push(chunk));
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
    });
    sent.once('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}
