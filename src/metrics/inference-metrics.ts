import { Counter, Gauge, Histogram } from 'prom-client';
import { expectedFailure } from '../database/failure.ts';
import type { PredictionOutcome } from '../inference/prediction-observer.ts';
import type { ServedVersion } from '../inference/served-models.ts';
import { ERROR_CODES } from '../platform/errors.ts';
import type { Registry } from '../platform/metrics.ts';
import { BoundedLabel } from './bounded-label.ts';

/** Models that have series of their own. */
const MAX_MODELS = 50;
/** Requests for what does not exist. As `BoundedLabel.OTHER`, no model's name. */
const UNKNOWN_MODEL = ':unknown';
/** What is counted of a model in memory. */
export type ServedSize = Pick<ServedVersion, 'memoryBytes' | 'processes' | 'waiting'>;
const PHASES = ['parse', 'queue', 'features', 'predict', 'serialize'] as const;
const OUTCOMES = ['ok', 'client_error', 'error'] as const;

/** Predictions, by model. */
export class InferenceMetrics {
  readonly #requests: Counter<'model' | 'status'>;
  readonly #latencies: Histogram<'model'>;
  readonly #phases: Histogram<'model' | 'phase'>;
  readonly #models: BoundedLabel;

  /** @param servedModels what is in memory, asked for at each collection */
  constructor(registry: Registry, servedModels: () => readonly ServedSize[]) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'mlops_inference_requests_total',
      help: "Requests for predictions, by model and by what became of them: ok, client_error (the request's fault, or its caller left), error.",
      labelNames: ['model', 'status'],
      registers,
    });
    this.#latencies = new Histogram({
      name: 'mlops_inference_latency_seconds',
      help: 'Time to answer a prediction, for those that were answered; loading a model that was not warm included.',
      labelNames: ['model'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    });
    this.#phases = new Histogram({
      name: 'mlops_inference_phase_seconds',
      help: 'Time of the parts of an answer: parse, queue, predict, by entity also features; over HTTP also serialize, as its Server-Timing has them.',
      labelNames: ['model', 'phase'],
      buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
      registers,
    });
    for (const status of OUTCOMES) this.#requests.inc({ model: UNKNOWN_MODEL, status }, 0);
    this.#models = new BoundedLabel(MAX_MODELS, (model) => {
      for (const status of OUTCOMES) this.#requests.inc({ model, status }, 0);
      this.#latencies.zero({ model });
      for (const phase of PHASES) this.#phases.zero({ model, phase });
    });
    const gauge = (name: string, help: string, count: (models: readonly ServedSize[]) => number) => {
      const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(count(servedModels())) });
    };
    gauge('mlops_models_loaded', 'Model versions that this process keeps loaded.', (models) => models.length);
    gauge('mlops_models_memory_bytes', 'What the loaded models take of the memory, as last measured.', (models) =>
      models.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    );
    gauge('mlops_models_processes', 'Python processes that have a loaded model.', (models) =>
      models.reduce((sum, { processes }) => sum + processes, 0),
    );
    gauge('mlops_inference_waiting_requests', 'Requests that loaded models have not answered yet.', (models) =>
      models.reduce((sum, { waiting }) => sum + waiting, 0),
    );
  }

  /** Counts one request, and measures the parts of its answer. */
  readonly predicted = ({ modelName, error, hasLeft, seconds, timings }: PredictionOutcome): void => {
    const model = modelName === null ? UNKNOWN_MODEL : this.#models.of(modelName);
    this.#requests.inc({ model, status: hasLeft === true ? 'client_error' : statusOf(error) });
    if (error === undefined) this.#latencies.observe({ model }, seconds);
    for (const [phase, milliseconds] of Object.entries(timings ?? {}))
      this.#phases.observe({ model, phase }, milliseconds / 1000);
  };

  /** Measures the last part of an answer, of which only the API that gives it knows. */
  readonly serialized = (modelName: string, milliseconds: number): void => {
    this.#phases.observe({ model: this.#models.of(modelName), phase: 'serialize' }, milliseconds / 1000);
  };
}

function statusOf(error: unknown): (typeof OUTCOMES)[number] {
  if (error === undefined) return 'ok';
  const code = expectedFailure(error)?.code;
  return code !== undefined && ERROR_CODES[code].status < 500 ? 'client_error' : 'error';
}
