import type { ExperimentService } from '../experiments/service.ts';
import type { JobService } from '../jobs/service.ts';
import type { MlflowClient } from '../mlflow/client.ts';
import type { ModelService } from '../models/service.ts';
import { AsgardError } from '../platform/errors.ts';
import type { Readiness } from './readiness.ts';

/** MLflow is asked for this long before it counts as not available: a status page must not hang. */
const MLFLOW_LIMIT_MS = 2000;

/** What the platform says of itself. Counts are 0 while the part that has them does not answer. */
export interface PlatformStatus {
  /** Where MLflow clients, and browsers for its UI, find it. */
  readonly mlflowTrackingUri: string;
  readonly mlflowAvailable: boolean;
  readonly feastStoreAvailable: boolean;
  readonly registeredModels: number;
  readonly activeExperiments: number;
  readonly featureViews: number;
  readonly jobs: { readonly queued: number; readonly running: number };
  readonly ready: boolean;
  /** What is not ready yet, one line each; empty when `ready`. */
  readonly notReady: readonly string[];
}

export interface PlatformStatusOptions {
  readonly mlflowTrackingUri: string;
  readonly mlflow: MlflowClient;
  readonly experiments: ExperimentService;
  readonly models: ModelService;
  readonly jobs: JobService;
  readonly readiness: Readiness;
}

/** Asks every part how it is, at once. */
export class PlatformStatusService {
  readonly #options: PlatformStatusOptions;

  constructor(options: PlatformStatusOptions) {
    this.#options = options;
  }

  /** Answers within some seconds also when MLflow does not. */
  async current(): Promise<PlatformStatus> {
    const { mlflowTrackingUri, jobs, readiness } = this.#options;
    const notReady = readiness.notReady;
    const [counts, tracking] = await Promise.all([
      jobs.counts().catch(() => {
        notReady.push('database: does not answer');
        return { queued: 0, running: 0 };
      }),
      this.#tracking(),
    ]);
    const isMlflowPending = notReady.some((line) => line.startsWith('mlflow:'));
    if (!tracking.mlflowAvailable && !isMlflowPending) notReady.push('mlflow: does not answer');
    return {
      mlflowTrackingUri,
      ...tracking,
      feastStoreAvailable: false,
      featureViews: 0,
      jobs: counts,
      ready: notReady.length === 0,
      notReady,
    };
  }

  async #tracking() {
    const { mlflow, experiments, models } = this.#options;
    const absent = { mlflowAvailable: false, registeredModels: 0, activeExperiments: 0 };
    if (!(await mlflow.isHealthy(AbortSignal.timeout(MLFLOW_LIMIT_MS)))) return absent;
    try {
      const [registeredModels, activeExperiments] = await Promise.all([models.count(), experiments.countActive()]);
      return { mlflowAvailable: true, registeredModels, activeExperiments };
    } catch (error) {
      if (error instanceof AsgardError) return absent;
      throw error;
    }
  }
}
