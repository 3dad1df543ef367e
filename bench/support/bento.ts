import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ChildProcess, freePort } from '../../src/platform/process.ts';
import { plainVariables } from './asgard.ts';
import type { Bench } from './bench.ts';
import type { MlflowPeer } from './mlflow.ts';
import { untilAnswering } from './wait.ts';

/** What is installed beside the toolchain. */
export const BENTOML = 'bentoml==1.4.40';

const START_LIMIT_MS = 180_000;

/** What loads the model and computes: of the versions that it was trained with, whatever else BentoML needs. */
const LIBRARIES = /^(cloudpickle|joblib|mlflow|numpy|pandas|scikit-learn|scipy)==\S+$/gm;

/**
 * Installs BentoML where it is missing, with the libraries that a model was trained with.
 * @returns the folder of its programs
 */
export async function installBento({ toolchain, signal }: Bench, environmentFolder: string): Promise<string> {
  const environment = join(toolchain, 'bench-bentoml');
  const uv = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)(join(toolchain, 'python', 'bin', 'uv'), args, { signal });
    return stdout;
  };
  const python = join(environmentFolder, 'bin', 'python');
  const libraries = (await uv('pip', 'freeze', '--quiet', '--python', python)).match(LIBRARIES) ?? [];
  await uv('venv', '--allow-existing', '--quiet', '--python', python, environment);
  const bin = join(environment, 'bin');
  const interpreter = join(bin, 'python');
  await uv('pip', 'install', '--quiet', '--compile-bytecode', '--python', interpreter, BENTOML, ...libraries);
  return bin;
}

/** `bentoml serve` of a registered version: defaults, adaptive batching, and no line logged for each request. */
export async function serveBento(
  bench: Bench,
  options: { bin: string; modelUri: string; trackingUri: string },
): Promise<MlflowPeer & AsyncDisposable> {
  const { bin, modelUri, trackingUri } = options;
  const port = await freePort();
  const startedAt = performance.now();
  const child = await bench.own(
    ChildProcess.start({
      argv: [join(bin, 'bentoml'), 'serve', 'bento_service:Model', '--host', '127.0.0.1', '--port', String(port), '-q'],
      env: {
        ...plainVariables(bin),
        MLFLOW_TRACKING_URI: trackingUri,
        MODEL_URI: modelUri,
        BENTOML_HOME: await bench.newFolder('bento'),
        BENTOML_DO_NOT_TRACK: 'true',
      },
      cwd: import.meta.dirname,
    }),
  );
  const url = `http://127.0.0.1:${port}`;
  const ended = new AbortController();
  void child.exited.then(() => ended.abort(new Error(`bentoml serve ended:\n${child.tail}`)));
  const limit = AbortSignal.any([AbortSignal.timeout(START_LIMIT_MS), ended.signal, bench.signal]);
  await untilAnswering(`${url}/readyz`, limit);
  const startMs = performance.now() - startedAt;
  return { url, pid: child.pid, startMs, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}
