import type { FailedPrediction, Prediction } from './service.ts';

/** Where the time of one operation went, which may ask for several predictions, one after the other. */
export class OperationTimings {
  readonly #parts = new Map<string, number>();
  #since: number;
  #modelName: string | null = null;

  /** @param since when its reading began, by `performance.now()` */
  constructor(since: number) {
    this.#since = since;
  }

  /** What reading the request for the next prediction has taken so far. */
  get parseMs(): number {
    return performance.now() - this.#since;
  }

  /** Takes what became of a prediction, once that is known. */
  readonly take = (answer: Prediction | FailedPrediction): void => {
    for (const [part, milliseconds] of Object.entries(answer.timings)) this.#add(part, milliseconds);
    this.#modelName = 'modelName' in answer ? answer.modelName : null;
    this.#since = performance.now();
  };

  /**
   * The answer is written.
   * @returns each part's time in all predictions together, in milliseconds; what came after the last one is `serialize`. `modelName`
   * is the model that it asked last, null when that has failed. Null of an operation that asked for no prediction
   */
  end(): { parts: ReadonlyMap<string, number>; serializeMs: number; modelName: string | null } | null {
    if (this.#parts.size === 0) return null;
    const serializeMs = performance.now() - this.#since;
    this.#add('serialize', serializeMs);
    return { parts: this.#parts, serializeMs, modelName: this.#modelName };
  }

  #add(part: string, milliseconds: number): void {
    this.#parts.set(part, (this.#parts.get(part) ?? 0) + milliseconds);
  }
}
