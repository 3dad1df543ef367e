import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { ManagedMlflow } from '../../src/embedded/mlflow-server.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { ChildProcess } from '../../src/platform/process.ts';

/** A real MLflow server on a real PostgreSQL, both its own. */
export interface MlflowForTests extends AsyncDisposable {
  readonly url: string;
}

/** The toolchain's interpreter, which has mlflow, scikit-learn and pandas. */
const PYTHON = join(parseConfig(inheritedEnvironment(), false).toolchain, 'python', 'bin', 'python');

/** Resolves when the server answers. */
export async function startMlflow(): Promise<MlflowForTests> {
  await using stack = new AsyncDisposableStack();
  const home = await mkdtemp(join(tmpdir(), 'asgard-mlflow-'));
  stack.defer(() => rm(home, { recursive: true, force: true }));
  const postgres = stack.use(
    await EmbeddedPostgres.start({ folder: join(home, 'postgres'), logFile: join(home, 'logs', 'postgres.log') }),
  );
  const mlflow = stack.use(
    await ManagedMlflow.start({
      python: PYTHON,
      databaseUrl: postgres.url('mlflow'),
      artifactsFolder: join(home, 'mlflow', 'artifacts'),
      logFile: join(home, 'logs', 'mlflow.log'),
    }),
  );
  await mlflow.ready;
  const owned = stack.move();
  return { url: mlflow.url, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** What an MLflow client is told by its environment. */
export interface ScriptTarget {
  readonly trackingUri: string;
  /** Sent by the client with every call, as `Authorization: Bearer <token>`. */
  readonly token?: string;
  readonly experimentName?: string;
}

/**
 * Runs Python source as a program of its own and resolves with what it printed on stdout, by lines.
 * @throws with the end of its output when its exit code is not 0
 */
export async function runScript(source: string, target: ScriptTarget, python = PYTHON): Promise<string[]> {
  const { PATH, HOME } = inheritedEnvironment();
  const lines: string[] = [];
  await using child = await ChildProcess.start({
    argv: [python, '-c', source],
    env: {
      PATH: `${dirname(python)}${delimiter}${PATH}`,
      HOME,
      MLFLOW_TRACKING_URI: target.trackingUri,
      MLFLOW_TRACKING_TOKEN: target.token,
      MLFLOW_EXPERIMENT_NAME: target.experimentName,
      MLFLOW_HTTP_REQUEST_MAX_RETRIES: '2',
      MLFLOW_HTTP_REQUEST_TIMEOUT: '60',
      MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: 'true',
    },
    onLine: (stream, line) => {
      if (stream === 'stdout') lines.push(line);
    },
  });
  const { code, signal } = await child.exited;
  if (code !== 0) throw new Error(`the script ended with ${code ?? signal}:\n${child.tail}`);
  return lines;
}
