import { join } from 'node:path';
import type { Config } from './config.ts';
import { ManagedMlflow } from './embedded/mlflow-server.ts';
import { EmbeddedPostgres } from './embedded/postgres.ts';
import { AsgardError, messageOf } from './platform/errors.ts';
import { waitForHttp } from './platform/http-wait.ts';
import type { Logger } from './platform/logger.ts';
import { toolchainPython } from './python/environments.ts';
import type { Shutdown } from './shutdown.ts';
import type { Readiness } from './status/readiness.ts';
import { BucketWatch } from './storage/bucket-watch.ts';

export interface ServersOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  readonly shutdown: Shutdown;
  readonly readiness: Readiness;
}

export interface Servers {
  readonly databaseUrl: string;
  /** Of the database that features are kept in, unless the configuration names another, for every program. */
  readonly featuresUrl: string;
  /** The same for this process, by the shortest way. */
  readonly featuresSocketUrl: string;
  readonly mlflowUrl: string;
  /** Whether artifacts cannot be kept now, as there are no credentials for the bucket. */
  readonly hasNoArtifactStore: () => Promise<boolean>;
  /** Resolves when a server of ours, that the platform cannot be without, has ended unasked; says so in one line. */
  readonly failed: Promise<AsgardError>;
}

/**
 * The servers that the platform stands on, each ours unless the configuration names another: PostgreSQL, which answers
 * when this resolves, and MLflow, which still starts.
 */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { config, logger, stop, shutdown } = options;
  const bucket = watchBucket(options);
  // Another's MLflow server keeps artifacts where it was told to, with credentials of its own.
  const hasNoArtifactStore = async () =>
    config.mlflowTrackingUri === undefined && (await bucket?.hasNoCredentials()) === true;
  if (config.databaseUrl !== undefined && config.mlflowTrackingUri !== undefined) {
    const { promise: failed } = Promise.withResolvers<AsgardError>();
    const { databaseUrl, mlflowTrackingUri: mlflowUrl } = config;
    const urls = { databaseUrl, featuresUrl: databaseUrl, featuresSocketUrl: databaseUrl, mlflowUrl };
    return { ...urls, hasNoArtifactStore, failed };
  }
  const logFile = join(config.home, 'logs', 'postgres.log');
  // A managed MLflow keeps its tables in the embedded PostgreSQL, also when Asgard's own are elsewhere.
  const postgres = await EmbeddedPostgres.start({
    folder: join(config.home, 'postgres'),
    logFile,
    logger,
    signal: stop,
  });
  shutdown.own('postgres', 2000, postgres);
  const failed = postgres.exited.then(({ code, signal }) => {
    const how = signal ?? `exit code ${code}`;
    return new AsgardError(
      'UNAVAILABLE',
      `PostgreSQL ended (${how}), so the platform ends too; ${logFile} may say why`,
    );
  });
  const databaseUrl = config.databaseUrl ?? postgres.socketUrl('asgard');
  const mlflowUrl = config.mlflowTrackingUri ?? (await startMlflow(options, postgres.url('mlflow')));
  const featuresUrl = config.databaseUrl ?? postgres.url('features');
  const featuresSocketUrl = config.databaseUrl ?? postgres.socketUrl('features');
  return { databaseUrl, featuresUrl, featuresSocketUrl, mlflowUrl, hasNoArtifactStore, failed };
}

/** The platform starts whatever the bucket is like, and jobs run: what is wrong is told, and looked at again. */
function watchBucket({ config, logger, shutdown, readiness }: ServersOptions): BucketWatch | undefined {
  const { s3: settings } = config;
  if (settings === undefined) return undefined;
  const onChange = (problem: string | null) => readiness.setTrouble('s3', problem);
  return shutdown.own('bucket watch', 500, new BucketWatch({ settings, logger, onChange }));
}

async function startMlflow({ config, logger, stop, shutdown, readiness }: ServersOptions, databaseUrl: string) {
  const mlflow = await ManagedMlflow.start({
    python: toolchainPython(config.toolchain),
    databaseUrl,
    artifactsFolder: join(config.home, 'mlflow', 'artifacts'),
    s3: config.s3,
    logFile: join(config.home, 'logs', 'mlflow.log'),
    logger,
  });
  shutdown.own('mlflow', 1500, mlflow);
  readiness.set('mlflow', 'is starting');
  mlflow.ready
    .catch((error: unknown) => {
      if (shutdown.isRunning) return;
      logger.error({ err: error }, 'mlflow.start_failed');
      readiness.set('mlflow', `did not start, trying again: ${messageOf(error)}`);
    })
    .then(() => waitForHttp(`${mlflow.url}/health`, stop))
    .then(
      () => readiness.clear('mlflow'),
      () => {}, // the platform ends
    );
  return mlflow.url;
}
