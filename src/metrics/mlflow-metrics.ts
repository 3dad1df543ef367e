import { Counter, Histogram } from 'prom-client';
import type { MlflowRequest } from '../mlflow/connection.ts';
import type { Registry } from '../platform/metrics.ts';
import type { Transfer } from '../platform/transfer.ts';

const RESOURCES = ['experiments', 'runs', 'models', 'artifacts', 'health', 'other'] as const;
type Resource = (typeof RESOURCES)[number];

/** The first part of a path below MLflow's API. */
const RESOURCE_OF: Readonly<Record<string, Resource>> = {
  experiments: 'experiments',
  runs: 'runs',
  metrics: 'runs',
  'registered-models': 'models',
  'model-versions': 'models',
  'logged-models': 'models',
  artifacts: 'artifacts',
};
const STATUSES = ['ok', 'client_error', 'error'] as const;
const DIRECTIONS = ['upload', 'download'] as const;

/** How MLflow answers, and what of artifacts goes through this process. */
export class MlflowMetrics {
  readonly #responses: Histogram<'resource' | 'status'>;
  readonly #bytes: Counter<'direction'>;
  readonly #transfers: Histogram<'direction' | 'status'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#responses = new Histogram({
      name: 'mlops_mlflow_response_seconds',
      help: "Time until MLflow answered, by what was asked for; artifacts' content apart. A status of error is a 5xx or no answer.",
      labelNames: ['resource', 'status'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
    this.#bytes = new Counter({
      name: 'mlops_artifact_bytes_total',
      help: 'Bytes of artifacts that went to the store (upload) or came from it (download) through this process.',
      labelNames: ['direction'],
      registers,
    });
    this.#transfers = new Histogram({
      name: 'mlops_artifact_transfer_seconds',
      help: 'Time that an artifact took to or from the store.',
      labelNames: ['direction', 'status'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800],
      registers,
    });
    for (const status of STATUSES) for (const resource of RESOURCES) this.#responses.zero({ resource, status });
    for (const direction of DIRECTIONS) {
      this.#bytes.inc({ direction }, 0);
      for (const status of ['ok', 'error']) this.#transfers.zero({ direction, status });
    }
  }

  /** Counts one request to MLflow, of ours or one that was forwarded. */
  readonly responded = ({ path, status, seconds }: MlflowRequest): void => {
    const word = status === 0 || status >= 500 ? 'error' : status >= 400 ? 'client_error' : 'ok';
    this.#responses.observe({ resource: resourceOf(path), status: word }, seconds);
  };

  /** Counts one artifact. */
  readonly transferred = ({ direction, sizeBytes, seconds, isWhole }: Transfer): void => {
    this.#bytes.inc({ direction }, sizeBytes);
    this.#transfers.observe({ direction, status: isWhole ? 'ok' : 'error' }, seconds);
  };
}

/** Paths that clients make up must not become labels. */
function resourceOf(path: string): Resource {
  if (path === '/health') return 'health';
  if (/^\/(ajax-)?api\/2\.0\/mlflow-artifacts\//.test(path)) return 'artifacts';
  const word = /^\/(?:ajax-)?api\/\d\.\d\/mlflow\/([a-z-]+)/.exec(path)?.[1] ?? '';
  return Object.hasOwn(RESOURCE_OF, word) ? (RESOURCE_OF[word] ?? 'other') : 'other';
}
