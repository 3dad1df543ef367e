import { workerData } from 'node:worker_threads';
import { createDatabase } from '../database/client.ts';
import type { PrismaClient } from '../database/generated/client.ts';
import type { Executor } from '../executors/executor.ts';
import { LocalExecutor } from '../executors/local.ts';
import { MlflowClient } from '../mlflow/client.ts';
import { ModelService } from '../models/service.ts';
import { createLogger, type Logger } from '../platform/logger.ts';
import { PythonEnvironments, toolchainPython } from '../python/environments.ts';
import type { SuperviseTask, SupervisorSettings } from './messages.ts';
import { Supervision } from './supervision.ts';

/** What every supervision of a thread shares. */
export interface SupervisorContext {
  readonly database: PrismaClient;
  readonly executor: Executor;
  readonly environments: PythonEnvironments;
  readonly mlflow: MlflowClient;
  readonly models: ModelService;
  readonly gatewayUrl: string;
  readonly logger: Logger;
}

let context: SupervisorContext | undefined;

/** piscina's entry: supervises one job to its end. A thread supervises many at once; none blocks it. */
export default async function superviseJob({ claim, control }: SuperviseTask): Promise<void> {
  context ??= createContext(workerData);
  try {
    await new Supervision(context, claim, control).run();
  } finally {
    control.close();
  }
}

function createContext(settings: SupervisorSettings): SupervisorContext {
  const { environmentsFolder: folder, toolchain, jobsFolder, gatewayUrl } = settings;
  const mlflow = new MlflowClient({ baseUrl: () => settings.mlflowUrl });
  return {
    database: createDatabase(settings.databaseUrl, { poolSize: 8 }).client,
    executor: new LocalExecutor({ folder: jobsFolder, python: toolchainPython(toolchain) }),
    environments: new PythonEnvironments({ folder, toolchain }),
    mlflow,
    models: new ModelService(mlflow),
    gatewayUrl,
    logger: createLogger(settings.logLevel, settings.logPretty),
  };
}
