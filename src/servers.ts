import { join } from 'node:path';
import type { Config } from './config.ts';
import { ManagedMlflow } from './embedded/mlflow-server.ts';
import { EmbeddedPostgres } from './embedded/postgres.ts';
import { messageOf } from './platform/errors.ts';
import type { Logger } from './platform/logger.ts';
import { toolchainPython } from './python/environments.ts';
import type { Shutdown } from './shutdown.ts';
import type { Readiness } from './status/readiness.ts';

export interface ServersOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  readonly shutdown: Shutdown;
  readonly readiness: Readiness;
}

/**
 * The servers that the platform stands on, each ours unless the configuration names another: PostgreSQL, which answers
 * when this resolves, and MLflow, which still starts.
 */
export async function startServers(options: ServersOptions): Promise<{ databaseUrl: string; mlflowUrl: string }> {
  const { config, logger, stop, shutdown } = options;
  if (config.databaseUrl !== undefined && config.mlflowTrackingUri !== undefined) {
    return { databaseUrl: config.databaseUrl, mlflowUrl: config.mlflowTrackingUri };
  }
  // A managed MLflow keeps its tables in the embedded PostgreSQL, also when Asgard's own are elsewhere.
  const postgres = await EmbeddedPostgres.start({
    folder: join(config.home, 'postgres'),
    logFile: join(config.home, 'logs', 'postgres.log'),
    logger,
    signal: stop,
  });
  shutdown.own('postgres', 5000, postgres);
  const databaseUrl = config.databaseUrl ?? postgres.url('asgard');
  const mlflowUrl = config.mlflowTrackingUri ?? (await startMlflow(options, postgres.url('mlflow')));
  return { databaseUrl, mlflowUrl };
}

async function startMlflow({ config, logger, shutdown, readiness }: ServersOptions, databaseUrl: string) {
  const mlflow = await ManagedMlflow.start({
    python: toolchainPython(config.toolchain),
    databaseUrl,
    artifactsFolder: join(config.home, 'mlflow', 'artifacts'),
    logFile: join(config.home, 'logs', 'mlflow.log'),
    logger,
  });
  shutdown.own('mlflow', 4500, mlflow);
  readiness.set('mlflow', 'is starting');
  mlflow.ready.then(
    () => readiness.clear('mlflow'),
    (error: unknown) => {
      readiness.set('mlflow', `did not start: ${messageOf(error)}`);
      logger.error({ err: error }, 'mlflow.start_failed');
    },
  );
  return mlflow.url;
}
