import { z } from 'zod';
import { onlineRequest } from '../features/online-request.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import type { ModelService } from '../models/service.ts';
import { bounded } from '../platform/bounded.ts';
import { AsgardError, invalidInput } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { storableText } from '../platform/text.ts';
import type { ServableGate } from './check/servable-gate.ts';
import type { EngineName, ServedModel } from './engine.ts';
import type { EntityFeatures, PredictionFeatures } from './entity-features.ts';
import type { OnPrediction, PredictionTimings } from './prediction-observer.ts';
import type { PredictedValue, WorkerRequest } from './protocol.ts';
import type { ServedModels } from './served-models.ts';
import { type VersionDescription, VersionDescriptions } from './version-description.ts';
import { type ModelChecks, referenceKey, VersionLookup } from './version-lookup.ts';
import type { VersionOrigin, VersionOrigins } from './version-origin.ts';
import { VersionSwitch } from './version-switch.ts';

/** The most rows of one request. */
const MAX_ROWS = 100_000;
const MAX_COLUMNS = 100_000;
/** Of lists and objects in each other, for one value. */
const MAX_DEPTH = 100;

/** `v2` is no alias, as `aliasName` has it. */
export const VERSION_REFERENCE = /^(latest|[1-9][0-9]{0,9}|(?![vV]?[0-9]+$)[A-Za-z0-9_-]{1,255})$/;

/**
 * What a caller asks, parsed. `inputs: {column: value[n]}`, one value a row, every column of the same length; or
 * `entities: {join key: value[n]}`, for whom the features that the version was trained on are looked up; or both.
 */
export const predictionRequest = z.object({
  modelName: storableText(256).min(1),
  /** A version's number, an alias, or `latest`: the newest that works. Absent: that too, or what `<name>@<alias>` says. */
  modelVersion: z
    .string()
    .regex(VERSION_REFERENCE, 'must be the number of a version, "latest", or an alias')
    .optional(),
  inputs: bounded(
    z
      .record(z.string(), z.array(z.unknown()).max(MAX_ROWS))
      .superRefine((inputs, context) => {
        const [first, ...others] = Object.entries(inputs);
        if (first === undefined) return;
        const [firstName, firstValues] = first;
        if (firstValues.length === 0) {
          context.addIssue({ code: 'custom', path: [firstName], message: 'must have at least one value' });
        }
        for (const [name, values] of others) {
          if (values.length === firstValues.length) continue;
          const message = `has ${values.length} values, but "${firstName}" has ${firstValues.length}`;
          context.addIssue({ code: 'custom', path: [name], message });
        }
      })
      .superRefine((inputs, context) => {
        for (const [name, values] of Object.entries(inputs)) {
          const row = values.findIndex((value) => problemOf(value) !== undefined);
          if (row === -1) continue;
          context.addIssue({ code: 'custom', path: [name, row], message: problemOf(values[row]) });
        }
      })
      .meta({ maxProperties: MAX_COLUMNS }),
    MAX_COLUMNS,
  ).optional(),
  entities: onlineRequest.shape.entities.optional(),
  /** How old a feature may be that is looked up. */
  maxFeatureAgeSeconds: z.number().min(0).optional(),
  returnProbabilities: z.boolean().default(false),
});

/**
 * JSON has larger numbers than JavaScript, which reads those as infinite and would write them as null. What is nested deeper than
 * Python's reading goes comes through WebSockets alone.
 */
function problemOf(value: unknown, depth = 0): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'is too large for a number of 64 bits';
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth === MAX_DEPTH) return `is nested more than ${MAX_DEPTH} levels deep`;
  for (const item of Object.values(value)) {
    const problem = problemOf(item, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

export type PredictionRequest = z.infer<typeof predictionRequest>;

/** A request whose columns depend on the version that answers, such as those that are given by their order. */
export interface LateRequest extends Pick<PredictionRequest, 'modelName' | 'modelVersion' | 'returnProbabilities'> {
  /** Called once, when the version is known. What it throws is the prediction's failure. */
  readonly inputsFor: (description: VersionDescription) => NonNullable<PredictionRequest['inputs']>;
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
  /** `queue` is all but the time since the model was asked, which `predict` has: its wait for its turn is in that. */
  readonly timings: Omit<PredictionTimings, 'predict'> & Partial<PredictionTimings>;
}

/** How far a request has come. */
interface Progress {
  version?: ModelVersion;
  engine?: EngineName;
  /** By `performance.now()`. */
  askedAt?: number;
}

type OnFailure = (failed: FailedPrediction) => void;

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
  }

  /**
   * Predicts one value for each row. Which version is meant is asked of MLflow once a second at most (see
   * `VersionLookup`): for that long a model that was changed there may still answer as it was, and where an alias was moved
   * until the new version is loaded (see `VersionSwitch`). The newest version is the newest as soon as it was tried.
   * @param parseMs what reading the request took whoever calls
   * @param onFailure is told what is known of a request that failed, before that is thrown
   * @throws AsgardError NOT_FOUND (model or version), CONFLICT (the version is registered and cannot be served), INVALID_INPUT
   * (naming the column and row), UNAVAILABLE, TIMEOUT; and as `EntityFeatures` does
   */
  async predict(request: PredictionRequest, parseMs = 0, onFailure?: OnFailure): Promise<Prediction> {
    return this.#predict(request, parseMs, onFailure);
  }

  /**
   * `predict` with columns that are made for the version that answers. Says what that version takes and gives.
   * @throws AsgardError as `predict`, and what `inputsFor` throws
   */
  async predictLate(
    request: LateRequest,
    parseMs = 0,
    onFailure?: OnFailure,
  ): Promise<{ prediction: Prediction; description: VersionDescription }> {
    const described = Promise.withResolvers<VersionDescription>();
    const inputsFor = (description: VersionDescription) => {
      described.resolve(description);
      return request.inputsFor(description);
    };
    const prediction = await this.#predict({ ...request, inputsFor }, parseMs, onFailure);
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

  async #predict(
    request: PredictionRequest | LateRequest,
    parseMs: number,
    onFailure: OnFailure | undefined,
  ): Promise<Prediction> {
    const startedAt = performance.now();
    const seconds = () => (performance.now() - startedAt) / 1000;
    const { modelName } = request;
    let knownName: string | null = null;
    const progress: Progress = {};
    try {
      if (!('inputsFor' in request)) checkRows(request);
      const choice = await this.#versions.find(modelName, request.modelVersion);
      knownName = choice.version.name;
      const version = await this.#switch.choose(referenceKey(modelName, request.modelVersion), choice);
      progress.version = version;
      const [origin, { predictMs, featuresMs, ...answer }] = await Promise.all([
        this.#originOf(version),
        this.#ask(version, 'inputsFor' in request ? await this.#bound(request, version) : request, progress),
      ]);
      const took = seconds();
      const inferenceTimeMs = Math.round(took * 1_000_000) / 1000;
      const queue = Math.max(0, inferenceTimeMs - predictMs - (featuresMs ?? 0));
      const features = featuresMs === undefined ? {} : { features: featuresMs };
      const timings = { parse: parseMs, queue, ...features, predict: predictMs };
      this.#onPrediction?.({ modelName: knownName, seconds: took, timings });
      return { ...answer, modelName: knownName, modelVersion: version.version, inferenceTimeMs, timings, origin };
    } catch (error) {
      this.#onPrediction?.({ modelName: knownName, error, seconds: seconds() });
      if (onFailure !== undefined) onFailure(await this.#failed(progress, { parseMs, startedAt }));
      throw error;
    }
  }

  async #failed(
    { version, engine, askedAt }: Progress,
    { parseMs: parse, startedAt }: { parseMs: number; startedAt: number },
  ): Promise<FailedPrediction> {
    const now = performance.now();
    const queue = (askedAt ?? now) - startedAt;
    const timings = { parse, queue, ...(askedAt !== undefined && { predict: now - askedAt }) };
    const origin = version === undefined ? UNKNOWN_ORIGIN : await this.#originOf(version);
    return { modelVersion: version?.version ?? null, engine: engine ?? null, origin, timings };
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

  async #bound({ inputsFor, ...request }: LateRequest, version: ModelVersion): Promise<PredictionRequest> {
    const bound = { ...request, inputs: inputsFor(await this.#describe(version)) };
    checkRows(bound);
    return bound;
  }

  /** While the database is away, models that are loaded go on answering. */
  async #originOf(version: ModelVersion): Promise<VersionOrigin> {
    const unknown = { runId: version.runId, jobId: null, environmentHash: null };
    return (await this.#origins?.of(version).catch(() => unknown)) ?? unknown;
  }

  /** A model may have ended while nobody asked it, and that is known a moment later: then it is loaded anew, once. */
  async #ask(version: ModelVersion, request: PredictionRequest, progress: Progress) {
    await this.#servable?.pass(version);
    const model = await this.#served.get(version);
    progress.engine = model.engine;
    progress.askedAt = performance.now();
    try {
      return await this.#askModel(model, version, request);
    } catch (error) {
      if (!model.isLost) throw error;
      return this.#askModel(await this.#served.get(version), version, request);
    }
  }

  async #askModel(model: ServedModel, version: ModelVersion, request: PredictionRequest) {
    const { inputs = {}, entities, maxFeatureAgeSeconds, returnProbabilities } = request;
    const asked = { inputs, return_probabilities: returnProbabilities };
    if (entities === undefined) return { ...(await askModel(model, asked)), features: null, featuresMs: undefined };
    if (this.#entityFeatures === undefined) throw new AsgardError('UNAVAILABLE', 'there is no feature store');
    const entityRequest = { inputs, entities, maxFeatureAgeSeconds };
    const filled = await this.#entityFeatures.fill(version, model, entityRequest);
    const { features, readMs: featuresMs } = filled;
    try {
      return { ...(await askModel(model, { ...asked, inputs: filled.inputs })), features, featuresMs };
    } catch (error) {
      throw filled.explained(error);
    }
  }
}

/** @throws AsgardError INVALID_INPUT when there are no rows, or columns and entities have different numbers of them */
function checkRows({ inputs = {}, entities }: PredictionRequest): void {
  const [column] = Object.entries(inputs);
  if (entities === undefined) {
    if (column === undefined) throw invalidInput(['inputs'], 'give inputs with at least one column', 'missing');
    return;
  }
  const [first, ...others] = Object.entries(entities);
  if (first === undefined) throw invalidInput(['entities'], 'entities must hold a list of values for each join key');
  const [name, { length }] = first;
  if (length === 0) throw invalidInput(['entities', name], 'must have at least one value');
  for (const [other, values] of others) {
    if (values.length === length) continue;
    throw invalidInput(['entities', other], `has ${values.length} values, but "${name}" has ${length}`);
  }
  if (column === undefined || column[1].length === length) return;
  const message = `has ${column[1].length} values, but the join key "${name}" has ${length}`;
  throw invalidInput(['inputs', column[0]], message);
}

async function askModel(model: ServedModel, request: WorkerRequest) {
  const startedAt = performance.now();
  const { predictions, probabilities, queueMs = 0, engine = model.engine } = await model.predict(request);
  const predictMs = Math.max(0, performance.now() - startedAt - queueMs);
  return { predictions, probabilities, predictMs, engine };
}
