import type { ModelVersion } from '../mlflow/wire.ts';
import type { EngineName, OnTurn } from './engine.ts';
import type { PredictionTimings } from './prediction-observer.ts';

/** `predict` is absent of a request that no model has in hand. */
type TimingsSoFar = Omit<PredictionTimings, 'predict'> & Partial<PredictionTimings>;

/** How far one request for predictions has come, and where its time went. */
export class RequestProgress {
  /** Null until it is known that there is such a model and version. */
  modelName: string | null = null;
  /** The version that answers, once that is known. */
  version: ModelVersion | undefined;
  /** What answers, or is to; null until the model is loaded. */
  engine: EngineName | null = null;
  readonly #parseMs: number;
  readonly #startedAt = performance.now();
  #features: { readonly from: number; until?: number } | undefined;
  #begunAt: number | null = null;
  #answeredAt: number | undefined;

  constructor(parseMs: number) {
    this.#parseMs = parseMs;
  }

  /** For the model: a request that it has to begin anew has waited until then. */
  readonly onTurn: OnTurn = (engine, begunAt) => {
    this.engine = engine;
    this.#begunAt = begunAt;
  };

  /** Since it was parsed. */
  get totalMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** What `read` comes to, its time counted as that of features. */
  async readFeatures<T>(read: () => Promise<T>): Promise<T> {
    const from = performance.now();
    this.#features = { from };
    try {
      return await read();
    } finally {
      this.#features = { from, until: performance.now() };
    }
  }

  /** The model has answered; what is done from now on is none of its time. */
  answered(): void {
    this.#answeredAt = performance.now();
  }

  /** Of `totalMs` all that is no other part's time is `queue`'s. */
  timings(totalMs: number): TimingsSoFar {
    const now = this.#startedAt + totalMs;
    const predict = this.#begunAt === null ? undefined : (this.#answeredAt ?? now) - this.#begunAt;
    const features = this.#features && (this.#features.until ?? now) - this.#features.from;
    return {
      parse: this.#parseMs,
      queue: Math.max(0, totalMs - (predict ?? 0) - (features ?? 0)),
      ...(features === undefined ? {} : { features }),
      ...(predict === undefined ? {} : { predict }),
    };
  }
}
