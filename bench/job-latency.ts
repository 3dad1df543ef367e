/*
 * How long a script's line takes from being submitted, and from being printed, to its reader: Asgard beside Ray Jobs, on
 * the same machine in one run. `node bench/job-latency.ts [--rounds N]`; Ray is installed into .toolchain/bench-ray.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { WebSocket } from 'ws';
import { startPlatform } from '../src/cli/start-platform.ts';
import { AsgardClient } from '../src/client/client.ts';
import { inheritedEnvironment, PROJECT_ROOT } from '../src/config.ts';
import { ChildProcess, freePort } from '../src/platform/process.ts';

const RAY = 'ray[default]==2.60.0';
const LINES = 40;
/** Each line is the time at which it was printed. */
const SCRIPT = `import time
for _ in range(${LINES}):
    print(time.time(), flush=True)
    time.sleep(0.05)
`;

/** Milliseconds: from the submission to the first line's arrival, and from each line's printing to its arrival. */
interface Round {
  readonly firstLineMs: number;
  readonly delaysMs: number[];
}

type Submit = (onLine: (text: string) => void) => Promise<void>;

const toolchain = join(PROJECT_ROOT, '.toolchain');
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '7' } } });
const rounds = Number(values.rounds);

const ours = await measureAsgard();
const peers = await measureRay();
print('submit to first line', (round) => [round.firstLineMs]);
print('printed to received', (round) => round.delaysMs);

function print(what: string, pick: (round: Round) => number[]): void {
  const [asgard, ray] = [median(ours.flatMap(pick)), median(peers.flatMap(pick))];
  const figures = `asgard ${asgard.toFixed(0)} ms, ray ${ray.toFixed(0)} ms, ratio ${(ray / asgard).toFixed(1)}`;
  process.stdout.write(`${what} (median of ${rounds} jobs): ${figures}\n`);
}

async function round(submit: Submit): Promise<Round> {
  const startedAt = Date.now();
  const delaysMs: number[] = [];
  let firstLineMs: number | undefined;
  await submit((text) => {
    const printedAt = Number(text) * 1000;
    if (!(printedAt > 1e12)) return;
    firstLineMs ??= Date.now() - startedAt;
    delaysMs.push(Date.now() - printedAt);
  });
  if (firstLineMs === undefined || delaysMs.length < LINES - 1) throw new Error(`only ${delaysMs.length} lines came`);
  return { firstLineMs, delaysMs };
}

async function repeat(submit: Submit): Promise<Round[]> {
  await round(submit);
  const done: Round[] = [];
  for (let index = 0; index < rounds; index += 1) done.push(await round(submit));
  return done;
}

async function measureAsgard(): Promise<Round[]> {
  const home = await mkdtemp(join(tmpdir(), 'asgard-bench-'));
  try {
    await using platform = await startPlatform({
      ...inheritedEnvironment(),
      ASGARD_HOME: home,
      ASGARD_ENVIRONMENTS: join(toolchain, 'environments'),
      ASGARD_LOG_LEVEL: 'error',
      PORT: '0',
      MLFLOW_PORT: '0',
    });
    await using client = new AsgardClient({ url: platform.url });
    while (!(await client.status()).ready) await delay(200);
    const input = { scriptName: 'lines.py', script: SCRIPT, experimentName: 'bench', modelName: 'bench' };
    return await repeat(async (onLine) => {
      const { id } = await client.submit(input);
      for await (const line of client.jobLog(id)) onLine(line.text);
    });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function measureRay(): Promise<Round[]> {
  const environment = join(toolchain, 'bench-ray');
  const uv = (...args: string[]) => promisify(execFile)(join(toolchain, 'python', 'bin', 'uv'), args);
  await uv('venv', '--allow-existing', '--quiet', environment);
  await uv('pip', 'install', '--quiet', '--compile-bytecode', '--python', join(environment, 'bin', 'python'), RAY);
  const folder = await mkdtemp(join(tmpdir(), 'ray-'));
  const [port, dashboard] = [await freePort(), await freePort()];
  const argv = `start --head --block --node-ip-address 127.0.0.2 --port ${port} --dashboard-host 127.0.0.1 --dashboard-port ${dashboard} --disable-usage-stats --num-cpus 2 --object-store-memory 200000000 --temp-dir ${folder}`;
  try {
    await using _head = await ChildProcess.start({
      argv: [join(environment, 'bin', 'ray'), ...argv.split(' ')],
      env: { ...inheritedEnvironment(), PATH: `${join(environment, 'bin')}:${inheritedEnvironment()['PATH']}` },
    });
    const path = '/api/jobs/';
    for (let tries = 0; (await call(dashboard, 'GET', path).catch(() => 0)) !== 200; tries += 1) {
      if (tries > 120) throw new Error('ray did not start');
      await delay(500);
    }
    let count = 0;
    return await repeat(async (onLine) => {
      count += 1;
      const id = `bench-${count}`;
      const entrypoint = `python -u -c "exec('''${SCRIPT.replaceAll('\n', '\\n')}''')"`;
      const status = await call(dashboard, 'POST', path, { submission_id: id, entrypoint });
      if (status !== 200) throw new Error(`ray answered ${status}`);
      const socket = new WebSocket(`ws://127.0.0.1:${dashboard}${path}${id}/logs/tail`, { perMessageDeflate: false });
      socket.on('message', (message: Buffer) => message.toString().split('\n').forEach(onLine));
      await once(socket, 'close');
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Not `fetch`: Ray refuses the headers that Node's sends. */
function call(port: number, method: string, path: string, body?: object): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    sent.once('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function median(numbers: number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
