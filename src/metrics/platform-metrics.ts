import type { FastifyInstance } from 'fastify';
import type { Plugin } from 'graphql-yoga';
import { Gauge } from 'prom-client';
import { createMetricsRegistry, type Registry } from '../platform/metrics.ts';
import { graphqlMetrics } from './graphql-metrics.ts';
import { httpMetrics } from './http-metrics.ts';
import { InferenceMetrics, type ServedSize } from './inference-metrics.ts';
import { JobMetrics, type JobSources } from './job-metrics.ts';
import { MlflowMetrics } from './mlflow-metrics.ts';

/** What is asked for at each collection. Parts that are built later than their metrics are reached through it. */
export interface MetricSources extends JobSources {
  readonly servedModels: () => readonly ServedSize[];
  /** Readers of one job's events, and of all jobs' transitions. */
  readonly subscribers: () => { readonly job: number; readonly allJobs: number };
}

/**
 * Every metric of the platform, each in the file of what it measures: services are given these as observers and know
 * nothing of Prometheus. Names begin with the guide's `mlops_`. `docs/decisions/0010-counters-of-this-process.md` says
 * what they count.
 */
export class PlatformMetrics {
  readonly registry: Registry = createMetricsRegistry();
  readonly jobs: JobMetrics;
  readonly inference: InferenceMetrics;
  readonly mlflow: MlflowMetrics;
  /** To be called with each HTTP server before it listens. */
  readonly http: (app: FastifyInstance) => void;
  readonly graphql: Plugin;

  constructor({ servedModels, subscribers, ...jobSources }: MetricSources) {
    this.jobs = new JobMetrics(this.registry, jobSources);
    this.inference = new InferenceMetrics(this.registry, servedModels);
    this.mlflow = new MlflowMetrics(this.registry);
    this.http = httpMetrics(this.registry);
    this.graphql = graphqlMetrics(this.registry);
    const following: Gauge<'feed'> = new Gauge({
      name: 'mlops_event_subscribers',
      help: "Readers of event streams in this process: of one job's events, or of all jobs' transitions.",
      labelNames: ['feed'],
      registers: [this.registry],
      collect: () => {
        const { job, allJobs } = subscribers();
        following.set({ feed: 'job' }, job);
        following.set({ feed: 'all_jobs' }, allJobs);
      },
    });
  }
}
