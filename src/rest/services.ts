import type { ServableVersion } from '../database/generated/client.ts';
import type { FeatureServices } from '../features/feature-services.ts';
import type { FeatureViewService } from '../features/feature-views.ts';
import type { MaterializationService } from '../features/materialization.ts';
import type { OnlineFeatureService } from '../features/online.ts';
import type { FeatureRegistry } from '../features/registry.ts';
import type { TableService } from '../features/tables.ts';
import type { ServedModels } from '../inference/served-models.ts';
import type { InferenceService } from '../inference/service.ts';
import type { ComparisonService } from '../jobs/comparison.ts';
import type { DeploymentService } from '../jobs/deployments.ts';
import type { JobEventFeed } from '../jobs/event-feed.ts';
import type { LineageService } from '../jobs/lineage.ts';
import type { JobService } from '../jobs/service.ts';
import type { ModelRegistry } from '../models/registry.ts';
import type { ServableKey } from '../models/servable-versions.ts';
import type { ModelService } from '../models/service.ts';
import type { Registry } from '../platform/metrics.ts';
import type { PlatformReadiness, PlatformStatus } from '../status/platform-status.ts';

/** What the REST layer needs of the platform: the part of each domain's service that its routes call. */
export interface RestServices {
  readonly jobs: Pick<JobService, 'submit' | 'summary' | 'withLog' | 'list' | 'cancel'>;
  readonly events: Pick<JobEventFeed, 'follow' | 'list'>;
  readonly models: Pick<ModelService, 'modelList' | 'versionList' | 'get' | 'getVersionByAlias' | 'registerRun'>;
  readonly registry: Pick<
    ModelRegistry,
    'setAlias' | 'deleteAlias' | 'updateModel' | 'updateVersion' | 'deleteModel' | 'deleteVersion'
  >;
  readonly lineage: Pick<LineageService, 'ofVersion'>;
  readonly comparisons: Pick<ComparisonService, 'ofJobs' | 'ofVersions'>;
  /** What came of trying the versions, in their order; null of those that were not tried yet. */
  readonly modelChecks: (versions: readonly ServableKey[]) => Promise<(ServableVersion | null)[]>;
  readonly deployments: Pick<DeploymentService, 'deploy' | 'get'>;
  readonly inference: Pick<InferenceService, 'predict' | 'predictLate' | 'describe'>;
  readonly servedModels: Pick<ServedModels, 'list' | 'find'>;
  readonly onPredictionSerialized: (modelName: string, milliseconds: number) => void;
  readonly tables: Pick<TableService, 'list' | 'get' | 'write' | 'delete' | 'checkSize'>;
  readonly onlineFeatures: Pick<OnlineFeatureService, 'read'>;
  readonly materializations: Pick<MaterializationService, 'start' | 'get'>;
  readonly featureViews: Pick<FeatureViewService, 'apply' | 'plan' | 'list' | 'get' | 'delete'>;
  readonly featureServices: Pick<FeatureServices, 'apply' | 'list' | 'get' | 'delete'>;
  readonly featureRegistry: Pick<FeatureRegistry, 'summary'>;
  readonly metrics: Pick<Registry, 'metrics' | 'contentType'>;
  readonly status: () => Promise<PlatformStatus>;
  /** Cheaper than `status`; asked often. */
  readonly readiness: () => Promise<PlatformReadiness>;
}
