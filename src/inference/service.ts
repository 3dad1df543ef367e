import type { ModelVersion } from '../mlflow/wire.ts';
import type { ModelService } from '../models/service.ts';
import { untilAborted } from '../platform/abort.ts';
import { AsgardError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { ServableGate } from './check/servable-gate.ts';
import type { EngineName, ServedModel } from './engine.ts';
import type { EntityFeatures, PredictionFeatures } from './entity-features.ts';
import type { OnPrediction, PredictionTimings } from './prediction-observer.ts';
import { checkRows, type PredictionRequest } from './prediction-request.ts';
import type { PredictedValue, WorkerRequest } from './protocol.ts';
import { RequestLimit } from './request-limit.ts';
import { RequestProgress } from './request-progress.ts';
import type { ServedModels } from './served-models.ts';
import { type VersionDescription, VersionDescriptions } from './version-description.ts';
import { type ModelChecks, referenceKey, VersionLookup } from './version-lookup.ts';
import type { VersionOrigin, VersionOrigins } from './version-origin.ts';
import { VersionSwitch } from './version-switch.ts';

type Inputs = NonNullable<PredictionRequest['inputs']>;

/** A request whose columns depend on the version that answers, such as those that are given by their order. */
export interface LateRequest extends Pick<PredictionRequest, 'modelName' | 'modelVersion' | 'returnProbabilities'> {
  /** Called once, when the version is known. What it throws is the prediction's failure. */
  readonly inputsFor: (description: VersionDescription) => Inputs | Promise<Inputs>;
}

/** `predictions: value[n]` in the order of the rows, `probabilities: number[n][classes]` when they were asked for. */
export interface Prediction {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly predictions: readonly PredictedValue[];
  readonly probabilities: readonly (readonly (number | null)[])[] | null;
  /** From the parsed request to the answer; loading a model that was not warm included. */
  readonly inferenceTimeMs: number;
  readonly timings: PredictionTimings;
  readonly engine: EngineName;
  readonly origin: VersionOrigin;
  /** What was looked up for `entities`; null when none were given. */
  readonly features: PredictionFeatures | null;
}

/** What is known of a request that failed, as a `Prediction` has it. */
export interface FailedPrediction {
  /** The version that was to answer; null where it is not known. */
  readonly modelVersion: string | null;
  /** Null of a model that was not loaded. */
  readonly engine: EngineName | null;
  readonly origin: VersionOrigin;
  /** `predict` is absent of one that no model has had in hand. */
  readonly timings: Omit<PredictionTimings, 'predict'> & Partial<PredictionTimings>;
}

/** Whoever asks for a prediction. */
export interface Caller {
  /** What reading the request took; 0 when absent. */
  readonly parseMs?: number;
  /** Aborts when the caller has gone: a request that has not been begun is given up. */
  readonly signal?: AbortSignal | undefined;
  /** Is told what is known of a request that failed, before that is thrown. */
  readonly onFailure?: (failed: FailedPrediction) => void;
}

const DEFAULT_LIMIT_MS = 30_000;
const UNKNOWN_ORIGIN: VersionOrigin = { runId: null, jobId: null, environmentHash: null };

export interface InferenceOptions {
  readonly models: ModelService;
  readonly served: ServedModels;
  /** Lets pass the versions that work; absent: each is loaded, and may fail to be. */
  readonly servable?: Pick<ServableGate, 'pass'>;
  /** Tells `latest` which versions work; absent: all count as such. */
  readonly checks?: ModelChecks;
  /** Where versions come from; absent: their runs are all that is known. */
  readonly origins?: Pick<VersionOrigins, 'of'>;
  /** Looks features up; absent: nobody can ask by entity. */
  readonly entityFeatures?: Pick<EntityFeatures, 'fill'>;
  readonly onPrediction?: OnPrediction;
  /** How long a request may take once its model is loaded, the wait for its turn included; 30,000 when absent. */
  readonly limitMs?: number | undefined;
  readonly logger?: Logger;
}

/** Predictions from registered models. */
export class InferenceService {
  readonly #versions: VersionLookup;
  readonly #switch: VersionSwitch;
  readonly #served: ServedModels;
  readonly #servable: Pick<ServableGate, 'pass'> | undefined;
  readonly #origins: Pick<VersionOrigins, 'of'> | undefined;
  readonly #entityFeatures: Pick<EntityFeatures, 'fill'> | undefined;
  readonly #descriptions: VersionDescriptions;
  readonly #onPrediction: OnPrediction | undefined;
  readonly #limitMs: number;

  constructor(options: InferenceOptions) {
    const { models, served, servable, checks, origins, entityFeatures, onPrediction, logger } = options;
    this.#versions = new VersionLookup(models, checks);
    this.#switch = new VersionSwitch({ served, pass: async (version) => servable?.pass(version), logger });
    this.#served = served;
    this.#servable = servable;
    this.#origins = origins;
    this.#entityFeatures = entityFeatures;
    this.#descriptions = new VersionDescriptions(served, checks);
    this.#onPrediction = onPrediction;
    this.#limitMs = options.limitMs ?? DEFAULT_LIMIT_MS;
  }

  /**
   * Predicts one value for each row. Which version is meant is asked of MLflow once a second at most (see
   * `VersionLookup`): for that long a model that was changed there may still answer as it was, and where an alias was moved
   * until the new version is loaded (see `VersionSwitch`). The newest version is the newest as soon as it was tried.
   * @throws AsgardError NOT_FOUND (model or version), CONFLICT (the version is registered and cannot be served), INVALID_INPUT
   * (naming the column and row), UNAVAILABLE, TIMEOUT (the limit is over); as `EntityFeatures` does; the caller's signal's reason
   */
  async predict(request: PredictionRequest, caller: Caller = {}): Promise<Prediction> {
    return this.#predict(request, caller);
  }

  /**
   * `predict` with columns that are made for the version that answers. Says what that version takes and gives.
   * @throws AsgardError as `predict`, and what `inputsFor` throws
   */
  async predictLate(
    request: LateRequest,
    caller: Caller = {},
  ): Promise<{ prediction: Prediction; description: VersionDescription }> {
    const described = Promise.withResolvers<VersionDescription>();
    const inputsFor = (description: VersionDescription) => {
      described.resolve(description);
      return request.inputsFor(description);
    };
    const prediction = await this.#predict({ ...request, inputsFor }, caller);
    return { prediction, description: await described.promise };
  }

  /**
   * What the version that would answer now takes and gives. One that nobody has tried is tried first, and one without a signature is
   * loaded.
   * @throws AsgardError NOT_FOUND, CONFLICT, UNAVAILABLE, as `predict` does
   */
  async describe(modelName: string, modelVersion?: string): Promise<VersionDescription> {
    const choice = await this.#versions.find(modelName, modelVersion);
    return this.#describe(await this.#switch.choose(referenceKey(modelName, modelVersion), choice));
  }

  async #describe(version: ModelVersion): Promise<VersionDescription> {
    await this.#servable?.pass(version);
    return this.#descriptions.of(version);
  }

  async #predict(request: PredictionRequest | LateRequest, caller: Caller): Promise<Prediction> {
    const progress = new RequestProgress(caller.parseMs ?? 0);
    using limit = new RequestLimit(caller.signal);
    try {
      if (!('inputsFor' in request)) checkRows(request);
      const { version, model, bound } = await untilAborted(this.#begin(request, progress), limit.signal);
      limit.begin(this.#limitMs);
      const [origin, answer] = await Promise.all([
        this.#originOf(version),
        this.#ask(model, version, bound, limit.signal, progress),
      ]);
      const { totalMs } = progress;
      const soFar = progress.timings(totalMs);
      const timings = { ...soFar, predict: soFar.predict ?? 0 };
      const { name: modelName, version: modelVersion } = version;
      this.#onPrediction?.({ modelName, seconds: totalMs / 1000, timings });
      const inferenceTimeMs = Math.round(totalMs * 1000) / 1000;
      const engine = progress.engine ?? model.engine;
      return { ...answer, modelName, modelVersion, inferenceTimeMs, timings, engine, origin };
    } catch (error) {
      const { totalMs, modelName } = progress;
      const hasLeft = caller.signal?.aborted === true;
      this.#onPrediction?.({ modelName, error, hasLeft, seconds: totalMs / 1000 });
      if (caller.onFailure !== undefined && !hasLeft) caller.onFailure(await this.#failed(progress));
      throw error;
    }
  }

  async #failed(progress: RequestProgress): Promise<FailedPrediction> {
    const { version, engine } = progress;
    const timings = progress.timings(progress.totalMs);
    const origin = version === undefined ? UNKNOWN_ORIGIN : await this.#originOf(version);
    return { modelVersion: version?.version ?? null, engine, origin, timings };
  }

  /** Has the newest version of a model be found anew, and be loaded where the one before it is: one was tried. */
  lookAgain(modelName: string): void {
    this.#versions.forgetNewest(modelName);
    for (const version of [undefined, 'latest']) {
      const key = referenceKey(modelName, version);
      if (!this.#switch.knows(key)) continue;
      this.#versions
        .find(modelName, version)
        .then((choice) => this.#switch.choose(key, choice))
        // Whoever asks next is told.
        .catch(() => {});
    }
  }

  /** Finds the version, and has it in memory. What is loaded goes on loading when nobody waits for it any more. */
  async #begin(request: PredictionRequest | LateRequest, progress: RequestProgress) {
    const choice = await this.#versions.find(request.modelName, request.modelVersion);
    progress.modelName = choice.version.name;
    const version = await this.#switch.choose(referenceKey(request.modelName, request.modelVersion), choice);
    progress.version = version;
    const bound = 'inputsFor' in request ? await this.#bound(request, version) : request;
    await this.#servable?.pass(version);
    const model = await this.#served.get(version);
    progress.engine = model.engine;
    return { version, model, bound };
  }

  async #bound({ inputsFor, ...request }: LateRequest, version: ModelVersion): Promise<PredictionRequest> {
    const bound = { ...request, inputs: await inputsFor(await this.#describe(version)) };
    checkRows(bound);
    return bound;
  }

  /** While the database is away, models that are loaded go on answering. */
  async #originOf(version: ModelVersion): Promise<VersionOrigin> {
    const unknown = { runId: version.runId, jobId: null, environmentHash: null };
    return (await this.#origins?.of(version).catch(() => unknown)) ?? unknown;
  }

  /** A model may have ended while nobody asked it, and that is known a moment later: then it is loaded anew, once. */
  async #ask(
    model: ServedModel,
    version: ModelVersion,
    request: PredictionRequest,
    signal: AbortSignal,
    progress: RequestProgress,
  ) {
    try {
      return await this.#askModel(model, version, request, signal, progress);
    } catch (error) {
      if (!model.isLost) throw error;
      const anew = await untilAborted(this.#served.get(version), signal);
      return this.#askModel(anew, version, request, signal, progress);
    }
  }

  async #askModel(
    model: ServedModel,
    version: ModelVersion,
    request: PredictionRequest,
    signal: AbortSignal,
    progress: RequestProgress,
  ) {
    const { inputs = {}, entities, maxFeatureAgeSeconds, returnProbabilities } = request;
    const ask = async (columns: WorkerRequest['inputs']) => {
      const asked = { inputs: columns, return_probabilities: returnProbabilities };
      const { predictions, probabilities } = await model.predict(asked, { signal, onTurn: progress.onTurn });
      progress.answered();
      return { predictions, probabilities };
    };
    if (entities === undefined) return { ...(await ask(inputs)), features: null };
    const store = this.#entityFeatures;
    if (store === undefined) throw new AsgardError('UNAVAILABLE', 'there is no feature store');
    const entityRequest = { inputs, entities, maxFeatureAgeSeconds };
    const filled = await progress.readFeatures(() => untilAborted(store.fill(version, model, entityRequest), signal));
    try {
      return { ...(await ask(filled.inputs)), features: filled.features };
    } catch (error) {
      throw filled.explained(error);
    }
  }
}
