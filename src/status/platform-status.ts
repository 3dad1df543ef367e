import type { Isolation } from '../executors/isolation.ts';
import type { ExperimentService } from '../experiments/service.ts';
import type { FeatureStoreHealth } from '../feast/health.ts';
import type { JobService } from '../jobs/service.ts';
import type { MlflowClient } from '../mlflow/client.ts';
import type { ModelService } from '../models/service.ts';
import { untilAborted } from '../platform/abort.ts';
import { AsgardError } from '../platform/errors.ts';
import type { Readiness } from './readiness.ts';

/** For everything that is asked of MLflow; then it counts as not available: a status page must not hang. */
const MLFLOW_LIMIT_MS = 3000;

/** Whether every part of the platform answers. */
export interface PlatformReadiness {
  readonly ready: boolean;
  /** What is not ready yet, one line each; empty when `ready`. */
  readonly notReady: readonly string[];
  /** What is wrong with parts that the platform goes on without, one line each. */
  readonly troubles: readonly string[];
}

/** What the platform says of itself. Counts are 0 while the part that has them does not answer. */
export interface PlatformStatus extends PlatformReadiness {
  /** Where MLflow clients, and browsers for its UI, find it. */
  readonly mlflowTrackingUri: string;
  readonly mlflowAvailable: boolean;
  readonly feastStoreAvailable: boolean;
  readonly registeredModels: number;
  readonly activeExperiments: number;
  readonly featureViews: number;
  /** How far scripts are kept from the platform. */
  readonly isolation: Isolation['level'];
  readonly jobs: { readonly queued: number; readonly running: number };
}

export interface PlatformStatusOptions {
  readonly mlflowTrackingUri: string;
  readonly mlflow: MlflowClient;
  readonly experiments: ExperimentService;
  readonly models: ModelService;
  readonly jobs: JobService;
  readonly features: Pick<FeatureStoreHealth, 'current'>;
  readonly readiness: Readiness;
  readonly isolation: Isolation['level'];
}

/** Asks every part how it is, at once. */
export class PlatformStatusService {
  readonly #options: PlatformStatusOptions;

  constructor(options: PlatformStatusOptions) {
    this.#options = options;
  }

  /** Answers within some seconds also when MLflow does not. */
  async current(): Promise<PlatformStatus> {
    const { mlflowTrackingUri } = this.#options;
    const looks = [this.#jobs(), this.#tracking(), this.#options.features.current()] as const;
    const [jobs, tracking, features] = await Promise.all(looks);
    return {
      mlflowTrackingUri,
      ...tracking,
      feastStoreAvailable: features.isAvailable,
      featureViews: features.featureViews,
      isolation: this.#options.isolation,
      jobs: jobs ?? { queued: 0, running: 0 },
      ...this.#readiness(jobs !== null, tracking.mlflowAvailable),
    };
  }

  /** As `current` says, without the counts of what MLflow has. */
  async readiness(): Promise<PlatformReadiness> {
    const isHealthy = this.#options.mlflow.isHealthy(AbortSignal.timeout(MLFLOW_LIMIT_MS));
    const [jobs, isMlflowHealthy] = await Promise.all([this.#jobs(), isHealthy]);
    return this.#readiness(jobs !== null, isMlflowHealthy);
  }

  #readiness(hasDatabase: boolean, hasMlflow: boolean): PlatformReadiness {
    const { readiness } = this.#options;
    const { notReady } = readiness;
    if (!hasDatabase) notReady.push('database: does not answer');
    if (!hasMlflow && !readiness.has('mlflow')) notReady.push('mlflow: does not answer');
    return { ready: notReady.length === 0, notReady, troubles: readiness.troubles };
  }

  /** Null when the database does not answer. */
  #jobs(): Promise<PlatformStatus['jobs'] | null> {
    return this.#options.jobs.counts().catch(() => null);
  }

  async #tracking() {
    const { mlflow, experiments, models } = this.#options;
    const limit = AbortSignal.timeout(MLFLOW_LIMIT_MS);
    const absent = { mlflowAvailable: false, registeredModels: 0, activeExperiments: 0 };
    if (!(await mlflow.isHealthy(limit))) return absent;
    try {
      const counts = Promise.all([models.count(), experiments.countActive()]);
      const [registeredModels, activeExperiments] = await untilAborted(counts, limit);
      return { mlflowAvailable: true, registeredModels, activeExperiments };
    } catch (error) {
      if (limit.aborted || error instanceof AsgardError) return absent;
      throw error;
    }
  }
}
