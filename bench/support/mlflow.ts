import { join } from 'node:path';

import { ChildProcess, freePort } from '../../src/platform/process.ts';
import { plainVariables } from './asgard.ts';
import type { Bench } from './bench.ts';
import { untilAnswering } from './wait.ts';

/** The first start on PostgreSQL makes its tables. */
const START_LIMIT_MS = 180_000;

/** A server of MLflow's own command line. */
export interface MlflowPeer {
  readonly url: string;
  readonly pid: number;
  /** From the command to the first good answer. */
  readonly startMs: number;
}

/**
 * `mlflow server` as its users start it: no option but the port, unless a database is given.
 * @param options.folder where it keeps its files; one that it was started on before makes it a second start
 */
export async function startMlflowServer(
  bench: Bench,
  options: { folder?: string; databaseUrl?: string } = {},
): Promise<MlflowPeer & AsyncDisposable> {
  const cwd = options.folder ?? (await bench.newFolder('mlflow'));
  // SQLAlchemy picks its driver by this name.
  const backend = options.databaseUrl?.replace(/^postgres(ql)?:/, 'postgresql+psycopg2:');
  const store = backend === undefined ? [] : ['--backend-store-uri', backend];
  const bin = join(bench.toolchain, 'python', 'bin');
  return start(bench, { bin, words: ['server', ...store], cwd, variables: {}, health: '/health' });
}

/** `mlflow models serve` of a registered version, in the environment that it was trained in. */
export function serveModel(
  bench: Bench,
  options: { environmentFolder: string; modelUri: string; trackingUri: string },
): Promise<MlflowPeer & AsyncDisposable> {
  const { environmentFolder, modelUri, trackingUri } = options;
  return start(bench, {
    bin: join(environmentFolder, 'bin'),
    words: ['models', 'serve', '--model-uri', modelUri, '--env-manager', 'local'],
    cwd: bench.folder,
    variables: { MLFLOW_TRACKING_URI: trackingUri },
    health: '/ping',
  });
}

interface Command {
  readonly bin: string;
  readonly words: readonly string[];
  readonly cwd: string;
  readonly variables: NodeJS.ProcessEnv;
  readonly health: string;
}

async function start(bench: Bench, command: Command): Promise<MlflowPeer & AsyncDisposable> {
  const { bin, words, cwd, variables, health } = command;
  const port = await freePort();
  const startedAt = performance.now();
  const child = await bench.own(
    ChildProcess.start({
      argv: [join(bin, 'mlflow'), ...words, '--host', '127.0.0.1', '--port', String(port)],
      // It calls other programs of its environment by their names alone.
      env: { ...plainVariables(bin), ...variables },
      cwd,
    }),
  );
  const url = `http://127.0.0.1:${port}`;
  const ended = new AbortController();
  void child.exited.then(() => ended.abort(new Error(`mlflow ${words[0]} ended:\n${child.tail}`)));
  const limit = AbortSignal.any([AbortSignal.timeout(START_LIMIT_MS), ended.signal, bench.signal]);
  await untilAnswering(url + health, limit);
  const startMs = performance.now() - startedAt;
  return { url, pid: child.pid, startMs, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}
