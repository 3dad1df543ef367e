import { AsgardError, hasCode, messageOf } from '../platform/errors.ts';
import { type FeatureReference, featureOf, type ReadView, readView } from './online-references.ts';
import { type OnlineRequest, type ResolvedRequest, resolveFeatures } from './online-request.ts';
import type { OnlineViews } from './online-views.ts';

/** A feature as a training set had it. */
export interface TrainedFeature {
  /** Its view's name in the registry. */
  readonly view: string;
  /** What the training set called that view: its name, or an alias that a feature service gave it. */
  readonly viewName: string;
  /** Of the view; null: the newest one. */
  readonly version: number | null;
  /** What the training set called join keys of the view, by their names there; one that is absent has its own name. */
  readonly joinKeys: ReadonlyMap<string, string>;
  readonly feature: string;
  /** Whether it was called `view__feature`; null where that is not known. */
  readonly hasFullName: boolean | null;
}

/** A feature of a training set, and what the answer shall call it. */
export interface WantedFeature extends TrainedFeature {
  readonly column: string;
}

/**
 * Finds features as a training set had them among those that are online now.
 * @throws AsgardError CONFLICT for a feature that is not; INVALID_INPUT for entities that are not those of the features
 */
export function resolveTrainedFeatures(
  wanted: readonly WantedFeature[],
  entities: OnlineRequest['entities'],
  known: OnlineViews,
): ResolvedRequest {
  const sources = new Map<string, ReadView>();
  const features = wanted.map(({ column, ...trained }) => {
    const key = sourceKey(trained);
    const { source, feature } = referenceOf(trained, sources.get(key), known);
    sources.set(key, source);
    return { name: column, source, feature };
  });
  return resolveFeatures(features, entities);
}

function referenceOf(trained: TrainedFeature, before: ReadView | undefined, known: OnlineViews): FeatureReference {
  const { view, viewName, version, feature, joinKeys } = trained;
  if (version !== null) {
    const message = `the model was trained on version ${version} of feature view ${view}: online values are those of its newest definition alone`;
    throw new AsgardError('CONFLICT', message);
  }
  try {
    const source = before ?? readView({ view, name: viewName, joinKeys }, known, []);
    return { source, feature: featureOf(source.view, feature, []), path: [] };
  } catch (cause) {
    if (!hasCode(cause, 'INVALID_INPUT')) throw cause;
    const message = `the model was trained on ${viewName}:${feature}, which cannot be read online: ${messageOf(cause)}`;
    throw new AsgardError('CONFLICT', message, { cause });
  }
}

/** One text for a view as a training set read it. */
function sourceKey({ view, viewName, joinKeys }: TrainedFeature): string {
  return JSON.stringify([view, viewName, [...joinKeys].toSorted()]);
}
