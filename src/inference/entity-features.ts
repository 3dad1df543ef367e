import type { PrismaClient } from '../database/generated/client.ts';
import type { OnlineColumn, OnlineFeatureService, OnlineStatus } from '../features/online.ts';
import type { TrainedFeature } from '../features/trained-features.ts';
import { readsOfVersions } from '../jobs/feature-read-log.ts';
import { trainedFeatures } from '../jobs/trained-features.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { AsgardError, hasCode, type InputIssue, invalidInput } from '../platform/errors.ts';
import type { ServedModel } from './engine.ts';
import { type EntityRequest, entityColumns } from './entity-columns.ts';
import { inputOf } from './online-input.ts';
import type { WorkerRequest } from './protocol.ts';

const MAX_KEPT = 10_000;
/** Of too old features the first ones are told. */
const MAX_TOLD = 100;

/** A feature of a row that is not in the online store, or older than its view's ttl allows: the model was given null. */
export interface MissingFeature {
  readonly row: number;
  /** Of the model. */
  readonly column: string;
  /** `view:feature`. */
  readonly feature: string;
  readonly status: Exclude<OnlineStatus, 'PRESENT'>;
}

/** What a prediction took from the online store. */
export interface PredictionFeatures {
  /** The views that were read, as the training set called them, with the oldest value's time; null when they have none. */
  readonly views: readonly {
    readonly name: string;
    readonly oldestAt: Date | null;
    readonly oldestAgeSeconds: number | null;
  }[];
  /** By row, and then in the order of the model's columns. */
  readonly missing: readonly MissingFeature[];
}

/** A model's columns, whole, and what of them came from the online store. */
export interface FilledInputs {
  readonly inputs: WorkerRequest['inputs'];
  readonly features: PredictionFeatures;
  /** Says of a failure of the model which feature it is about. */
  readonly explained: (error: unknown) => unknown;
}

/** Gives models the features that they were trained on, as the online store has them of the entities that a request names. */
export class EntityFeatures {
  readonly #database: PrismaClient;
  readonly #online: Pick<OnlineFeatureService, 'readTrained'>;
  readonly #kept = new Map<string, readonly TrainedFeature[]>();

  constructor(database: PrismaClient, online: Pick<OnlineFeatureService, 'readTrained'>) {
    this.#database = database;
    this.#online = online;
  }

  /**
   * The columns that the model takes: those of `inputs`, else the features of their names, else the entities' own.
   * @throws AsgardError INVALID_INPUT for entities that are not those of the features, a version that was trained without
   * features, and features that are too old; CONFLICT when a feature cannot be read online (any more); UNAVAILABLE
   */
  async fill(
    version: ModelVersion,
    { columns }: Pick<ServedModel, 'columns'>,
    request: EntityRequest,
  ): Promise<FilledInputs> {
    const { inputs, entities } = request;
    const trained = await this.#trainedFeatures(version);
    const of = `version ${version.version} of model ${version.name}`;
    if (trained.length === 0) {
      const message = `${of} was trained without features of the feature store: give its columns as inputs`;
      throw invalidInput(['entities'], message);
    }
    if (columns === null) {
      const message = `${of} knows its columns by their order alone, which that of features need not be: give them as inputs`;
      throw invalidInput(['entities'], message);
    }
    const { wanted, joinKeys, entities: needed } = entityColumns(columns, request, trained);
    const read = wanted.length === 0 ? [] : await this.#online.readTrained(wanted, needed);
    refuseOld(read, request);
    const types = new Map(columns.map(({ name, type }) => [name, type]));
    const found = [
      ...read.map(({ name, cells }) => [name, cells.map(({ value }) => value)] as const),
      ...joinKeys.map((name) => [name, entities[name] ?? []] as const),
    ];
    return {
      inputs: Object.fromEntries([
        ...found.map(
          ([name, values]) => [name, values.map((value) => inputOf(value, types.get(name) ?? null))] as const,
        ),
        ...Object.entries(inputs),
      ]),
      features: { views: viewsOf(read), missing: missingIn(read) },
      explained: (error) => explained(error, read),
    };
  }

  /** What a version was trained on does not change. Of one without any its script may still be running. */
  async #trainedFeatures(version: ModelVersion): Promise<readonly TrainedFeature[]> {
    const key = `${version.name}/${version.version}/${version.createdAt.getTime()}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const [reads = []] = await readsOfVersions(this.#database, [version]);
    const features = trainedFeatures(reads);
    if (features.length === 0) return features;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, features);
    return features;
  }
}

/** @throws AsgardError INVALID_INPUT with an issue for each row and view of which features are too old */
function refuseOld(read: readonly OnlineColumn[], { entities, maxFeatureAgeSeconds: limit }: EntityRequest): void {
  if (limit === undefined) return;
  const [joinKey = ''] = Object.keys(entities);
  const issues: InputIssue[] = [];
  for (const [view, columns] of Map.groupBy(read, ({ view }) => view)) {
    for (const row of (columns[0]?.cells ?? []).keys()) {
      const old = columns.filter(({ cells }) => (cells[row]?.ageSeconds ?? 0) > limit);
      if (old.length === 0) continue;
      const age = Math.max(...old.map(({ cells }) => cells[row]?.ageSeconds ?? 0));
      const names = old.map(({ feature }) => `${view}:${feature}`).join(', ');
      const message = `${names} ${old.length === 1 ? 'is' : 'are'} ${age.toFixed(1)} s old, and at most ${limit} s are allowed`;
      issues.push({ path: ['entities', joinKey, row], message, type: 'feature_too_old' });
    }
  }
  if (issues.length === 0) return;
  const told = issues.slice(0, MAX_TOLD);
  const more = issues.length > told.length ? `; and ${issues.length - told.length} more` : '';
  const messages = told.map(({ path, message }) => `row ${path[2]}: ${message}`).join('; ');
  throw new AsgardError('INVALID_INPUT', `features are too old: ${messages}${more}`, { issues: told });
}

function viewsOf(read: readonly OnlineColumn[]): PredictionFeatures['views'] {
  return [...Map.groupBy(read, ({ view }) => view)].map(([name, columns]) => {
    const cells = columns.flatMap((column) => column.cells);
    const oldest = cells.reduce<(typeof cells)[number] | undefined>(
      (before, cell) => ((cell.ageSeconds ?? -Infinity) > (before?.ageSeconds ?? -Infinity) ? cell : before),
      undefined,
    );
    const at = oldest?.eventAtMs ?? null;
    return { name, oldestAt: at === null ? null : new Date(at), oldestAgeSeconds: oldest?.ageSeconds ?? null };
  });
}

function missingIn(read: readonly OnlineColumn[]): MissingFeature[] {
  return [...(read[0]?.cells ?? []).keys()].flatMap((row) =>
    read.flatMap(({ name, view, feature, cells }) => {
      const status = cells[row]?.status ?? 'MISSING';
      return status === 'PRESENT' ? [] : [{ row, column: name, feature: `${view}:${feature}`, status }];
    }),
  );
}

const REASONS: Record<OnlineStatus, string> = {
  PRESENT: 'as the online store has it',
  MISSING: 'which the online store does not have',
  EXPIRED: "whose value is older than its view's ttl allows",
};

/** A value that the model does not take is one that the caller has not seen: what it is stands in the message. */
function explained(error: unknown, read: readonly OnlineColumn[]): unknown {
  if (!hasCode(error, 'INVALID_INPUT')) return error;
  const [issue, ...others] = error.issues;
  const [root, name, row] = issue?.path ?? [];
  const column = read.find((each) => each.name === name);
  if (issue === undefined || others.length > 0 || root !== 'inputs' || column === undefined) return error;
  const status = typeof row === 'number' ? (column.cells[row]?.status ?? 'MISSING') : 'PRESENT';
  const message = `${issue.message}; it is the feature ${column.view}:${column.feature}, ${REASONS[status]}`;
  return new AsgardError('INVALID_INPUT', message, { cause: error, issues: [{ ...issue, message }] });
}
