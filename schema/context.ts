import { initContextCache } from '@pothos/core';
import type { PrismaClient } from '../src/database/generated/client.ts';
import type { ExperimentService } from '../src/experiments/service.ts';
import type { FeatureServices } from '../src/features/feature-services.ts';
import type { FeatureViewService } from '../src/features/feature-views.ts';
import type { MaterializationService } from '../src/features/materialization.ts';
import type { OnlineFeatureService } from '../src/features/online.ts';
import type { FeatureRegistry } from '../src/features/registry.ts';
import type { TableService } from '../src/features/tables.ts';
import type { OperationTimings } from '../src/inference/operation-timings.ts';
import type { ServedModels } from '../src/inference/served-models.ts';
import type { InferenceService } from '../src/inference/service.ts';
import type { ComparisonService } from '../src/jobs/comparison.ts';
import type { DeploymentService } from '../src/jobs/deployments.ts';
import type { JobEventFeed } from '../src/jobs/event-feed.ts';
import type { JobService } from '../src/jobs/service.ts';
import type { ModelRegistry } from '../src/models/registry.ts';
import type { ModelService } from '../src/models/service.ts';
import type { PlatformStatus } from '../src/status/platform-status.ts';

/** The domain, as resolvers reach it. Built once by `app.ts`, which also disposes of it. */
export interface Services {
  readonly jobs: JobService;
  readonly events: JobEventFeed;
  readonly experiments: ExperimentService;
  readonly models: ModelService;
  readonly registry: ModelRegistry;
  readonly deployments: DeploymentService;
  readonly comparisons: ComparisonService;
  readonly tables: TableService;
  readonly inference: InferenceService;
  readonly servedModels: Pick<ServedModels, 'list' | 'find'>;
  readonly onlineFeatures: OnlineFeatureService;
  readonly materializations: MaterializationService;
  readonly featureViews: FeatureViewService;
  readonly featureServices: FeatureServices;
  readonly featureRegistry: FeatureRegistry;
  readonly status: () => Promise<PlatformStatus>;
  /** Read only, by the Prisma plugin and the loaders. */
  readonly database: PrismaClient;
}

/** What one operation's resolvers share. Loaders cache by it, so nothing read for one operation shows in another. */
export interface Context extends Services {
  /** Stands in the log beside whatever goes wrong in this operation, and in what the caller sees of it. */
  readonly requestId: string;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
  /** Of the operation's predictions. */
  readonly timings: OperationTimings;
}

/** The context of one operation. */
export function createContext(services: Services, operation: Omit<Context, keyof Services>): Context {
  const { requestId, signal, timings } = operation;
  return { ...initContextCache(), ...services, requestId, signal, timings };
}
