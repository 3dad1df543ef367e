import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config.ts';
import type { PrismaClient } from './database/generated/client.ts';
import type { Isolation } from './executors/isolation.ts';
import { LocalExecutor } from './executors/local.ts';
import type { StartWarm } from './executors/warm-start.ts';
import { ServableGate } from './inference/check/servable-gate.ts';
import { VersionChecks } from './inference/check/version-checks.ts';
import { Compiler } from './inference/compiled/compiler.ts';
import { VersionLoader } from './inference/compiled/load-version.ts';
import { preloadModels } from './inference/preload.ts';
import { PythonLoader } from './inference/python/load-python.ts';
import { ProcessMemory } from './inference/python/process-memory.ts';
import { ServedModels } from './inference/served-models.ts';
import type { MlflowClient } from './mlflow/client.ts';
import { ModelFiles } from './models/model-files.ts';
import type { Logger } from './platform/logger.ts';
import { type PythonEnvironments, toolchainPython } from './python/environments.ts';
import { Starter } from './python/starter.ts';
import type { Shutdown } from './shutdown.ts';

interface ServingOptions {
  /** With the true path of the data folder. */
  readonly config: Config;
  readonly isolation: Isolation['level'];
  readonly database: PrismaClient;
  readonly environments: PythonEnvironments;
  readonly mlflow: MlflowClient;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  /** The step of the shutdown that models end with, before MLflow and the database do. */
  readonly group: string;
}

interface Serving {
  readonly served: ServedModels;
  /** What versions have to pass before they are served. */
  readonly gate: ServableGate;
  /** Of files of models, which supervising threads share. */
  readonly filesFolder: string;
  /** Begins to load the models that are to be loaded at the start. From now on processes are forked where that can be done. */
  readonly begin: (startWarm: StartWarm) => void;
}

/** Builds what serves models, and removes what an earlier platform left of it. */
export async function buildServing(options: ServingOptions): Promise<Serving> {
  const { config, isolation, database, environments, mlflow, logger, shutdown, group } = options;
  const { home, toolchain, serving } = config;
  const interpreter = toolchainPython(toolchain);
  const starter = isolation === 'none' ? undefined : new Starter({ python: interpreter, folder: home });
  if (starter !== undefined) shutdown.own('model starter', 500, starter, group);
  const processes = join(home, 'models', 'processes');
  const executor = new LocalExecutor({
    ...{ folder: processes, python: interpreter, isolation, hidden: [home], starter },
    processLimit: config.processLimit,
  });
  for (const handle of await executor.handles()) await executor.forget(handle);
  await rm(processes, { recursive: true, force: true });
  const filesFolder = await makeFilesFolder(home);
  const files = new ModelFiles({ mlflow, folder: filesFolder, limitBytes: serving.filesLimitBytes });
  await files.removeLeftovers();
  const memory = new ProcessMemory();
  let forking: StartWarm | undefined;
  const startWarm: StartWarm = async (task) => (await forking?.(task)) ?? false;
  const python = new PythonLoader({
    ...{ database, environments, files, executor, startWarm, memory },
    requestLimitMs: serving.predictionLimitMs,
  });
  const versions = new VersionLoader({
    database,
    loadPython: (version, context) => python.load(version, context),
    logger,
  });
  const served = new ServedModels({
    load: (version, context) => versions.load(version, context),
    memoryBytes: serving.memoryBytes,
    logger,
  });
  const { modelCheckSeconds: limitSeconds } = config;
  const checks = new VersionChecks({
    database,
    mlflow,
    environments,
    files,
    executor,
    startWarm,
    limitSeconds,
    logger,
  });
  const gate = new ServableGate({ database, checks });
  shutdown.own('model checks', 1200, gate, group);
  const lockPath = join(home, 'models', 'compiling');
  if (serving.compiles) {
    const compiler = new Compiler({ database, mlflow, environments, files, executor, lockPath, logger });
    shutdown.own('model compiler', 1200, compiler, group);
  }
  const stop = new AbortController();
  shutdown.add(
    'models',
    1200,
    async () => {
      stop.abort();
      memory[Symbol.dispose]();
      await served[Symbol.asyncDispose]();
    },
    group,
  );
  const begin = (startWarm: StartWarm) => {
    forking = startWarm;
    void preloadModels({ models: serving.preload, served, gate, mlflow, logger, signal: stop.signal });
  };
  return { served, gate, filesFolder, begin };
}

async function makeFilesFolder(home: string): Promise<string> {
  const folder = join(home, 'models', 'files');
  await mkdir(folder, { recursive: true });
  return folder;
}
