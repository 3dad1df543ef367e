import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from './config.ts';
import { FeastBridge } from './feast/bridge.ts';
import { FeastByHand } from './feast/by-hand.ts';
import { FeaturesDatabase } from './feast/database.ts';
import { FeatureStoreHealth } from './feast/health.ts';
import {
  type FeatureStoreSettings,
  featureStoreSettings,
  hasOwnCatalog,
  readKeyTrouble,
  warehouseFolder,
} from './feast/settings.ts';
import { Warehouse } from './feast/warehouse.ts';
import type { Logger } from './platform/logger.ts';
import { toolchainPython } from './python/environments.ts';
import type { Shutdown } from './shutdown.ts';
import type { Readiness } from './status/readiness.ts';
import { s3Credentials } from './storage/s3-environment.ts';

export interface FeatureStoreOptions {
  readonly config: Config;
  /** Where features are kept when the configuration names no database of theirs. */
  readonly databaseUrl: string;
  /** The same for this process, by the shortest way. */
  readonly socketUrl: string;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  /** The step of the shutdown that it ends with. */
  readonly group: string;
  readonly readiness: Readiness;
  /** Runs when there are feature views, having not been seen before. */
  readonly onFeatureViews: () => void;
}

/** The parts of the feature store that the platform's services stand on. */
export interface FeatureStore {
  readonly settings: FeatureStoreSettings;
  /** Of the database that they name, for this process, by the shortest way. */
  readonly socketUrl: string;
  readonly database: FeaturesDatabase;
  readonly bridge: FeastBridge;
  readonly health: FeatureStoreHealth;
}

/** Builds them. Nothing is waited for: the platform goes on whatever the store is like, and its status says how it is. */
export function buildFeatureStore(options: FeatureStoreOptions): FeatureStore {
  const { config, logger, shutdown, group, readiness } = options;
  const settings = featureStoreSettings(config.features, options.databaseUrl);
  const socketUrl = config.features.databaseUrl ?? options.socketUrl;
  const database = new FeaturesDatabase(socketUrl);
  shutdown.own('features database', 500, database, group);
  const python = toolchainPython(config.toolchain);
  const bridge = new FeastBridge({
    python,
    settings,
    folder: join(config.home, 'features'),
    variables: config.features.s3 === undefined ? {} : s3Credentials(),
    logger,
  });
  shutdown.own('feast bridge', 500, bridge, group);
  const health = new FeatureStoreHealth({
    database,
    warehouse: new Warehouse({ folder: warehouseFolder(settings), s3: config.features.s3 }),
    bridge,
    standingTrouble: readKeyTrouble(settings),
    checkCatalog: hasOwnCatalog(settings)
      ? undefined
      : (signal) => bridge.request('catalog.check', {}, z.null(), { signal }).then(() => undefined),
    logger,
    onTrouble: (trouble) => readiness.setTrouble('features', trouble),
    onFeatureViews: options.onFeatureViews,
  });
  shutdown.own('features health', 500, health, group);
  const byHand = new FeastByHand({
    path: config.features.repoPath,
    dataFolder: config.home,
    python,
    settings,
    database,
    logger,
    onTrouble: (trouble) => readiness.setTrouble('feast by hand', trouble),
  });
  shutdown.own('feast by hand', 500, byHand, group);
  return { settings, socketUrl, database, bridge, health };
}
