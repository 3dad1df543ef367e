import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config.ts';
import type { Isolation } from './executors/isolation.ts';
import { LocalExecutor } from './executors/local.ts';
import { ScriptRoles } from './feast/script-role.ts';
import { warehouseFolder } from './feast/settings.ts';
import type { FeatureStore } from './feature-store.ts';
import { folderId } from './platform/folder-id.ts';
import { toolchainPython } from './python/environments.ts';
import type { Shutdown } from './shutdown.ts';
import { JobWork, type JobWorkOptions } from './worker/job-work.ts';
import type { SupervisorSettings } from './worker/messages.ts';

interface JobOptions
  extends Pick<JobWorkOptions, 'database' | 'listener' | 'environments' | 'readiness' | 'logger' | 'observer'>,
    Pick<SupervisorSettings, 'databaseUrl' | 'mlflowUrl' | 'gatewayUrl'> {
  /** With the true path of the data folder. */
  readonly config: Config;
  readonly isolation: Isolation['level'];
  readonly features: Pick<FeatureStore, 'database' | 'settings'>;
  /** Of files of models. */
  readonly filesFolder: string;
  readonly shutdown: Shutdown;
}

/** Builds what works on jobs, and begins. */
export async function buildJobWork(options: JobOptions): Promise<JobWork> {
  const { config, isolation, features, filesFolder, shutdown, databaseUrl, mlflowUrl, gatewayUrl, ...parts } = options;
  const { home, toolchain } = config;
  const jobsFolder = join(home, 'jobs');
  const launchersFolder = join(home, 'launchers');
  const dataFolder = join(home, 'data');
  await mkdir(dataFolder, { recursive: true });
  // What launchers of a killed Asgard left there.
  await rm(launchersFolder, { recursive: true, force: true });
  const settings: SupervisorSettings = {
    databaseUrl,
    mlflowUrl,
    gatewayUrl,
    jobsFolder,
    isolation,
    hiddenFolder: home,
    dataFolder,
    warehouseFolder: warehouseFolder(features.settings),
    launchersFolder,
    launchers: config.launchers,
    environmentsFolder: config.environments,
    environmentsLimitBytes: config.environmentsLimitBytes,
    toolchain,
    processLimit: config.processLimit,
    outputLimitBytes: config.outputLimitBytes,
    modelFiles: { folder: filesFolder, limitBytes: config.serving.filesLimitBytes },
    modelCheckSeconds: config.modelCheckSeconds,
    features: features.settings,
    keepsTrainingRows: config.features.keepsTrainingRows,
    s3: config.s3,
    logLevel: config.logLevel,
    logPretty: config.logPretty,
  };
  const work = new JobWork({
    ...parts,
    executor: new LocalExecutor({
      folder: jobsFolder,
      placeId: await folderId(home),
      python: toolchainPython(toolchain),
    }),
    roles: new ScriptRoles(features.database, features.settings.databaseUrl),
    settings,
    slots: config.workerSlots,
    lostAfterSeconds: config.lostAfterSeconds,
  });
  return shutdown.own('jobs', 4500, work);
}
