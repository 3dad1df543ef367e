import { quoted, unknown } from '../features/online-references.ts';
import type { OnlineRequest } from '../features/online-request.ts';
import type { TrainedFeature, WantedFeature } from '../features/trained-features.ts';
import { AsgardError, invalidInput } from '../platform/errors.ts';
import type { ModelColumn } from './engine.ts';
import type { WorkerRequest } from './protocol.ts';

/** Whom to predict. */
export interface EntityRequest {
  /** Further columns, which go before features of their names. */
  readonly inputs: WorkerRequest['inputs'];
  /** `{join key: value[n]}`, one value a row. */
  readonly entities: OnlineRequest['entities'];
  /** How old a feature may be; undefined: as old as its view's ttl allows. */
  readonly maxFeatureAgeSeconds: number | undefined;
}

/** Where the columns of a model come from that the caller did not give. */
export interface EntityColumns {
  /** Those that are features. */
  readonly wanted: readonly WantedFeature[];
  /** Those that are join keys: a model may have been trained on them too. */
  readonly joinKeys: readonly string[];
  /** What the features that are read are looked up by. */
  readonly entities: EntityRequest['entities'];
}

/**
 * Finds each column of a model among what the caller gave, the features that it was trained on and their join keys, in this
 * order. What is found nowhere is left out: the model says that it misses it.
 * @throws AsgardError CONFLICT for a column that may be one of several features; INVALID_INPUT for a name that is no join key
 */
export function entityColumns(
  columns: readonly ModelColumn[],
  { inputs, entities }: EntityRequest,
  trained: readonly TrainedFeature[],
): EntityColumns {
  const featuresOf = Map.groupBy(
    trained.flatMap((feature) => namesOf(feature).map((column) => ({ ...feature, column }))),
    ({ column }) => column,
  );
  const names = columns.flatMap(({ name }) => (Object.hasOwn(inputs, name) ? [] : [name]));
  const wanted = names.flatMap((name) => oneOf(featuresOf.get(name) ?? []));
  const joinKeys = names.filter((name) => !featuresOf.has(name) && Object.hasOwn(entities, name));
  return { wanted, joinKeys, entities: entitiesOf(entities, wanted, trained) };
}

/** What the training set may have called it. */
function namesOf({ feature, viewName, hasFullName }: TrainedFeature): string[] {
  const fullName = `${viewName}__${feature}`;
  if (hasFullName === null) return [feature, fullName];
  return [hasFullName ? fullName : feature];
}

/** The same feature may have been read several times. */
function oneOf(features: readonly WantedFeature[]): WantedFeature[] {
  const [first] = features;
  if (first === undefined) return [];
  const other = features.find((each) => originOf(each) !== originOf(first));
  if (other === undefined) return [first];
  const [one, two] = [first, other].map(({ viewName, feature }) => `${viewName}:${feature}`);
  const which = one === two ? `${one} by different join keys` : `${one} and ${two}`;
  throw new AsgardError(
    'CONFLICT',
    `the model was trained on a column ${first.column}, and its script read that from ${which}: give it as inputs, or have the script ask for full feature names`,
  );
}

function originOf({ view, version, feature, joinKeys }: TrainedFeature): string {
  return JSON.stringify([view, version, feature, [...joinKeys].toSorted()]);
}

/** Without join keys of features that are not read, as the caller gave them all or the model takes none of them. */
function entitiesOf(
  entities: EntityRequest['entities'],
  wanted: readonly TrainedFeature[],
  trained: readonly TrainedFeature[],
): EntityRequest['entities'] {
  const needed = new Set(wanted.flatMap(({ joinKeys }) => [...joinKeys.values()]));
  const known = new Set(trained.flatMap(({ joinKeys }) => [...joinKeys.values()]));
  // Of some reads no join keys are known: those of the view are the ones then, and whoever reads it says so.
  const isKnown = trained.every(({ joinKeys }) => joinKeys.size > 0);
  const stray = isKnown ? Object.keys(entities).find((name) => !known.has(name)) : undefined;
  if (stray !== undefined) {
    throw invalidInput(['entities', stray], unknown(`join key ${quoted(stray)}`, stray, [...known]));
  }
  return Object.fromEntries(Object.entries(entities).filter(([name]) => needed.has(name) || !known.has(name)));
}
