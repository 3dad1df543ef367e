import type { JoinKey } from '../feast/entity-key.ts';
import { nearestNames } from '../models/nearest-names.ts';
import { invalidInput } from '../platform/errors.ts';
import type { OnlineProjection, OnlineView, OnlineViews } from './online-views.ts';

type Path = readonly (string | number)[];

/** A view as one request reads it: a service may have it twice, for the buyer and for the seller. */
export interface ReadView {
  /** As the answer calls it: the view's own name, or the alias that a service gave it. */
  readonly name: string;
  readonly view: OnlineView;
  /** In the view's order, with what the request calls them. */
  readonly joinKeys: readonly (JoinKey & { readonly asked: string })[];
}

/** One feature of one view. */
export interface FeatureReference {
  readonly source: ReadView;
  readonly feature: string;
  /** Where it stands in the request. */
  readonly path: Path;
}

/** The features that are named one by one, as `view:feature`. @throws AsgardError INVALID_INPUT naming what is not known */
export function namedFeatures(references: readonly string[], known: OnlineViews): FeatureReference[] {
  const sources = new Map<string, ReadView>();
  return references.map((reference, index) => {
    const path = ['features', index];
    const separator = reference.indexOf(':');
    if (separator < 1 || separator === reference.length - 1) {
      throw invalidInput(path, `a feature is named view:feature, not ${quoted(reference)}`);
    }
    const [name, feature] = [reference.slice(0, separator), reference.slice(separator + 1)];
    const source = sources.get(name) ?? readView({ view: name, name, joinKeys: new Map() }, known, path);
    sources.set(name, source);
    return { source, feature: featureOf(source.view, feature, path), path };
  });
}

/** The features of a service, in its order. @throws AsgardError INVALID_INPUT naming what is not known or cannot be read */
export function serviceFeatures(service: string, known: OnlineViews): FeatureReference[] {
  const path = ['featureService'];
  const projections = known.services.get(service);
  if (projections === undefined) {
    throw invalidInput(path, unknown(`feature service ${quoted(service)}`, service, [...known.services.keys()]));
  }
  return projections.flatMap((projection) => {
    const { view, version, features } = projection;
    if (version !== null) {
      const message = `feature service ${service} has features of version ${version} of feature view ${view}: online values are those of its newest definition alone`;
      throw invalidInput(path, message);
    }
    const source = readView(projection, known, path);
    return features.map((feature) => ({ source, feature: featureOf(source.view, feature, path), path }));
  });
}

/** A view of the registry under the names that a request has. @throws AsgardError INVALID_INPUT when it cannot be read */
export function readView(
  { view: viewName, name, joinKeys }: Pick<OnlineProjection, 'view' | 'name' | 'joinKeys'>,
  { views, others }: OnlineViews,
  path: Path,
): ReadView {
  const view = views.get(viewName);
  if (view === undefined) {
    const kind = others.get(viewName);
    if (kind === undefined)
      throw invalidInput(path, unknown(`feature view ${quoted(viewName)}`, viewName, [...views.keys()]));
    throw invalidInput(
      path,
      `${viewName} is ${kind}, which only Feast itself serves: ask for features of feature views`,
    );
  }
  if (view.refusal !== null) throw invalidInput(path, `feature view ${viewName} ${view.refusal}`);
  if (!view.isOnline) {
    throw invalidInput(path, `feature view ${viewName} is not online: apply it with "online": true first`);
  }
  return { name, view, joinKeys: view.joinKeys.map((key) => ({ ...key, asked: joinKeys.get(key.name) ?? key.name })) };
}

/** @returns the feature. @throws AsgardError INVALID_INPUT when the view has none of that name */
export function featureOf({ name, features }: OnlineView, feature: string, path: Path): string {
  if (features.has(feature)) return feature;
  throw invalidInput(path, unknown(`feature ${quoted(feature)} in feature view ${name}`, feature, [...features]));
}

/** `there is no feature "x" in …; did you mean "y"?`, or what there is. */
export function unknown(what: string, name: string, names: readonly string[]): string {
  const [nearest] = nearestNames(name, names, 1);
  if (nearest !== undefined) return `there is no ${what}; did you mean ${quoted(nearest)}?`;
  const shown = names.slice(0, 10).map(quoted).join(', ');
  return names.length === 0 ? `there is no ${what}` : `there is no ${what}; there is ${shown}`;
}

/** A name that somebody gave, in a message. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
