import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type StartedPlatform, startPlatform } from '../../src/cli/start-platform.ts';
import { AsgardClient, type JobEvent } from '../../src/client/client.ts';
import { inheritedEnvironment } from '../../src/config.ts';
import type { Bench } from './bench.ts';

/** The first start on a machine makes the base environment. */
const READY_LIMIT_MS = 15 * 60_000;

/** A platform in a process of its own, as `npm start` runs it, on an empty data folder. */
export interface Asgard extends StartedPlatform {
  readonly client: AsgardClient;
  readonly home: string;
}

/** The environment of a platform that is measured: none of the caller's settings, free ports, shared job environments. */
export function platformVariables(bench: Bench, home: string, changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return {
    ...plainVariables(),
    ASGARD_HOME: home,
    ASGARD_TOOLCHAIN: bench.toolchain,
    ASGARD_ENVIRONMENTS: environmentsFolder(bench),
    ASGARD_LOG_LEVEL: 'error',
    PORT: '0',
    MLFLOW_PORT: '0',
    FEAST_REPO_PATH: join(home, 'feast_repo'),
    ...changes,
  };
}

/**
 * The caller's environment without what configures Asgard, MLflow, S3, Ray or Python.
 * @param bin a folder that goes first on the PATH
 */
export function plainVariables(bin?: string): NodeJS.ProcessEnv {
  const configures = /^(ASGARD_|MLFLOW_|AWS_|PYTHON|RAY_|FEAST_|FEATURES_|ICEBERG_|DATABASE_URL$|HOST$|PORT$)/;
  const given = Object.fromEntries(Object.entries(inheritedEnvironment()).filter(([name]) => !configures.test(name)));
  const path = [...(bin === undefined ? [] : [bin]), given['PATH']].join(delimiter);
  return { ...given, PATH: path, MLFLOW_DISABLE_TELEMETRY: 'true' };
}

/** Where environments are kept from run to run. */
export function environmentsFolder(bench: Bench): string {
  return join(bench.toolchain, 'environments');
}

/** Starts a platform and resolves when it is ready. */
export async function startAsgard(bench: Bench, changes: NodeJS.ProcessEnv = {}): Promise<Asgard> {
  const home = await bench.newFolder('asgard');
  const onLog = (line: string) => bench.say(`asgard: ${line}`);
  const platform = await bench.own(startPlatform(platformVariables(bench, home, changes), onLog, bench.signal));
  const client = await bench.own(Promise.resolve(new AsgardClient({ url: platform.url })));
  for (const deadline = Date.now() + READY_LIMIT_MS; ; await delay(100, undefined, { signal: bench.signal })) {
    const { ready, notReady } = await client.status();
    if (ready) return { ...platform, client, home };
    if (Date.now() > deadline) throw new Error(`the platform is not ready: ${notReady.join(', ')}`);
  }
}

/** A script as it is handed in. */
export interface Script {
  readonly name: string;
  readonly text: string;
  readonly variables?: Readonly<Record<string, string>>;
}

/** Hands a script in by REST, as the guide's client does. @returns the job's id once it was accepted */
export async function upload({ url }: Asgard, script: Script): Promise<string> {
  const response = await fetch(`${url}/mlops/training/upload`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      script_name: `${script.name}.py`,
      script_content: Buffer.from(script.text).toString('base64'),
      experiment_name: script.name,
      model_name: script.name,
      environment_vars: script.variables ?? {},
      timeout: 600,
    }),
  });
  const answer = await response.text();
  if (response.status !== 202) throw new Error(`the upload was answered ${response.status}: ${answer}`);
  const { job_id }: { job_id: string } = JSON.parse(answer);
  return job_id;
}

/**
 * Follows a job through a subscription until it shows as COMPLETED.
 * @param onEvent called for each event when it arrives
 * @throws with the job's log when it ends in another way
 */
export async function untilCompleted(asgard: Asgard, id: string, onEvent: (event: JobEvent) => void = () => {}) {
  for await (const event of asgard.client.jobEvents(id)) {
    onEvent(event);
    if (event.__typename !== 'StatusChanged') continue;
    if (event.status === 'COMPLETED') return;
    if (['FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST'].includes(event.status)) {
      throw new Error(`job ${id} ended ${event.status}: ${event.reason}\n${await asgard.client.logText(id)}`);
    }
  }
  throw new Error(`the events of job ${id} ended without its end`);
}
