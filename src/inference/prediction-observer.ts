/** What became of one request for a prediction. */
export interface PredictionOutcome {
  /** Null when there is no such model or version, so that the name is only what somebody typed. */
  readonly modelName: string | null;
  /** What was thrown; absent when it was answered. */
  readonly error?: unknown;
  /** Whoever asked went away before the answer. */
  readonly hasLeft?: boolean;
  /** From the parsed request to its end; loading a model that was not warm included. */
  readonly seconds: number;
  /** Of one that was answered. */
  readonly timings?: PredictionTimings;
}

/** Runs after every request for a prediction; it must not throw. */
export type OnPrediction = (outcome: PredictionOutcome) => void;

/** Where the time of one answer went, in milliseconds, as far as it is known when the answer is. */
export interface PredictionTimings {
  /** Reading the request; as whoever took it says. */
  readonly parse: number;
  /** Until the model took it in hand; a look-up of the version, a load, also that of Python for a compiled model, and the requests before it are in it. */
  readonly queue: number;
  /** Reading the features of entities, where some were asked for. */
  readonly features?: number;
  readonly predict: number;
}
