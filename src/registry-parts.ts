import type { PrismaClient } from './database/generated/client.ts';
import type { Listener } from './database/listen.ts';
import type { ExperimentService } from './experiments/service.ts';
import { ComparisonService } from './jobs/comparison.ts';
import { DeploymentService } from './jobs/deployments.ts';
import { LineageService } from './jobs/lineage.ts';
import type { JobService } from './jobs/service.ts';
import type { MlflowClient } from './mlflow/client.ts';
import { ModelRegistry, type RegistryOptions } from './models/registry.ts';
import type { ModelService } from './models/service.ts';

export interface RegistryParts {
  readonly database: PrismaClient;
  readonly listener: Listener;
  readonly mlflow: MlflowClient;
  readonly models: ModelService;
  readonly experiments: ExperimentService;
  readonly jobs: JobService;
  /** As `RegistryOptions` has it. */
  readonly mustServe?: RegistryOptions['mustServe'];
}

/** What there is around registered models beside looking them up: changes, deployments, where they come from and how they differ. */
export function buildRegistry({ database, listener, mlflow, models, experiments, jobs, mustServe }: RegistryParts) {
  const lineage = new LineageService({ database, models, experiments });
  return {
    registry: new ModelRegistry({ database, mlflow, models, mustServe }),
    deployments: new DeploymentService(database, listener, jobs),
    lineage,
    comparisons: new ComparisonService({ database, lineage }),
  };
}
