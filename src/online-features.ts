import type { Config } from './config.ts';
import type { PrismaClient } from './database/generated/client.ts';
import type { Listener } from './database/listen.ts';
import type { FeastBridge } from './feast/bridge.ts';
import { OnlineStore } from './feast/online-store.ts';
import type { FeatureStore } from './feature-store.ts';
import { changesNoticed } from './features/changes-noticed.ts';
import { MaterializationService } from './features/materialization.ts';
import { MaterializationSchedule } from './features/materialization-schedule.ts';
import { OnlineFeatureService } from './features/online.ts';
import { OnlineViewCache } from './features/online-views.ts';
import type { Logger } from './platform/logger.ts';
import type { Shutdown } from './shutdown.ts';

export interface OnlineFeaturesOptions {
  readonly features: FeatureStore;
  readonly database: PrismaClient;
  readonly listener: Listener;
  readonly config: Config;
  readonly logger: Logger;
  readonly shutdown: Shutdown;
  /** The step of the shutdown that it ends with, before the feature store and the database do. */
  readonly group: string;
}

export interface OnlineFeatures {
  readonly services: {
    readonly onlineFeatures: OnlineFeatureService;
    readonly materializations: MaterializationService;
  };
  /** For those who change the registry, so that what is known of it is read anew. */
  readonly bridge: Pick<FeastBridge, 'request'>;
}

/** Builds what reads and fills the online store, and begins the schedule of materializations. */
export function buildOnlineFeatures(options: OnlineFeaturesOptions): OnlineFeatures {
  const { features, database, listener, config, logger, shutdown, group } = options;
  const { bridge, health } = features;
  const store = new OnlineStore(features.socketUrl);
  shutdown.own('online store', 500, store, group);
  const views = new OnlineViewCache(bridge, store);
  const onlineFeatures = new OnlineFeatureService(views, store);
  const materializations = new MaterializationService({ database, listener, bridge, views, logger });
  shutdown.own('materializations', 1200, materializations, group);
  const everySeconds = config.features.materializeEverySeconds;
  const schedule = new MaterializationSchedule({ materializations, views, health, everySeconds, logger });
  shutdown.own('materialization schedule', 1200, schedule, group);
  return {
    services: { onlineFeatures, materializations },
    bridge: changesNoticed(bridge, () => views.invalidate()),
  };
}
