/** What became of one request for a prediction. */
export interface PredictionOutcome {
  /** Null when there is no such model or version, so that the name is only what somebody typed. */
  readonly modelName: string | null;
  /** What was thrown; absent when it was answered. */
  readonly error?: unknown;
  /** From the parsed request to its end; loading a model that was not warm included. */
  readonly seconds: number;
}

/** Runs after every request for a prediction; it must not throw. */
export type OnPrediction = (outcome: PredictionOutcome) => void;
