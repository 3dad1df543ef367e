import { createDatabase } from '../database/client.ts';
import type { PrismaClient } from '../database/generated/client.ts';
import type { Executor } from '../executors/executor.ts';
import { LocalExecutor } from '../executors/local.ts';
import { VersionChecks } from '../inference/check/version-checks.ts';
import { MlflowClient } from '../mlflow/client.ts';
import { ModelFiles } from '../models/model-files.ts';
import { ModelService } from '../models/service.ts';
import { createLogger, type Logger } from '../platform/logger.ts';
import { EnvironmentRecords } from '../python/environment-records.ts';
import { PythonEnvironments, toolchainPython } from '../python/environments.ts';
import { Launchers } from '../python/launchers.ts';
import { Starter } from '../python/starter.ts';
import { S3Bucket } from '../storage/s3.ts';
import { type FeatureStoreOfScripts, featureStoreOfScripts } from './feature-access.ts';
import type { SupervisorSettings } from './messages.ts';

/** What every supervision of a thread shares. */
export interface SupervisorContext {
  readonly database: PrismaClient;
  readonly executor: Executor;
  readonly environments: PythonEnvironments;
  readonly mlflow: MlflowClient;
  readonly models: ModelService;
  readonly checks: VersionChecks;
  /** Absent: scripts are in the database alone. */
  readonly bucket?: S3Bucket | undefined;
  /** Absent: scripts have none. */
  readonly features?: FeatureStoreOfScripts | undefined;
  readonly gatewayUrl: string;
  /** Where users put files that scripts shall read. */
  readonly dataFolder: string;
  /** Whether scripts are to send some rows of their training sets. */
  readonly keepsTrainingRows: boolean;
  /** How much of what a script prints is kept. */
  readonly outputLimitBytes: number;
  readonly logger: Logger;
}

/** Built once a thread, which holds it for as long as it lives. */
export function createSupervisorContext(settings: SupervisorSettings): SupervisorContext {
  const {
    environmentsFolder: folder,
    toolchain,
    gatewayUrl,
    dataFolder,
    keepsTrainingRows,
    outputLimitBytes,
  } = settings;
  const { client: database } = createDatabase(settings.databaseUrl, { poolSize: 6 });
  const logger = createLogger(settings.logLevel, settings.logPretty);
  const mlflow = new MlflowClient({ baseUrl: () => settings.mlflowUrl });
  const executor = createExecutor(settings);
  const environments = new PythonEnvironments({
    folder,
    toolchain,
    limitBytes: settings.environmentsLimitBytes,
    observer: new EnvironmentRecords({ database, folder, logger }),
  });
  const files = new ModelFiles({ mlflow, ...settings.modelFiles });
  const { modelCheckSeconds: limitSeconds } = settings;
  return {
    database,
    executor,
    environments,
    mlflow,
    models: new ModelService(mlflow),
    checks: new VersionChecks({ database, mlflow, environments, files, executor, limitSeconds, logger }),
    bucket: settings.s3 === undefined ? undefined : new S3Bucket(settings.s3),
    features: settings.features && featureStoreOfScripts(settings.features),
    gatewayUrl,
    dataFolder,
    keepsTrainingRows,
    outputLimitBytes,
    logger,
  };
}

/** Its starter and launchers end with this process, as their input does then. */
function createExecutor(settings: SupervisorSettings): LocalExecutor {
  const { isolation, hiddenFolder, dataFolder, warehouseFolder, jobsFolder: folder, processLimit } = settings;
  const readable = [dataFolder, ...(warehouseFolder === undefined ? [] : [warehouseFolder])];
  const python = toolchainPython(settings.toolchain);
  const hidden = [hiddenFolder];
  const starter = isolation === 'none' ? undefined : new Starter({ python, folder: hiddenFolder });
  const launchers = new Launchers({
    folder: settings.launchersFolder,
    // What was forked from a warm process can be waited for by the runner only with a PID namespace.
    limit: isolation === 'account' ? 0 : settings.launchers,
    apart: isolation === 'namespaces' && starter !== undefined ? { starter, hidden } : undefined,
  });
  return new LocalExecutor({ folder, python, isolation, hidden, readable, processLimit, launchers, starter });
}
