import { z } from 'zod';
import { EntityKeySerializer } from '../feast/entity-key.ts';
import { nearestNames } from '../models/nearest-names.ts';
import { bounded } from '../platform/bounded.ts';
import { invalidInput } from '../platform/errors.ts';
import type { OnlineView, OnlineViews } from './online-views.ts';

const MAX_ROWS = 1_000;
const MAX_FEATURES = 500;
const MAX_VALUES = 100_000;
const MAX_ENTITIES = 20;
const MAX_NAME = 512;

/** Which features of which entities. */
export const onlineRequest = z
  .object({
    features: bounded(z.array(z.string().max(MAX_NAME)), MAX_FEATURES)
      .optional()
      .describe('Each as `view:feature`; or give `feature_service`.'),
    featureService: z.string().max(MAX_NAME).optional().describe('The features of this service.'),
    entities: bounded(
      z.record(z.string().max(MAX_NAME), bounded(z.array(z.unknown()), MAX_ROWS)),
      MAX_ENTITIES,
    ).describe(
      `The values of each join key, one for each row: \`{"customer_id": [1, 2]}\`; at most ${MAX_ROWS} rows. A whole number beyond 2^53 is given as a string of its digits.`,
    ),
    fullFeatureNames: z
      .boolean()
      .default(false)
      .describe('Whether features are named `view__feature`, as two views may have one of the same name.'),
  })
  .describe('Which features of which entities.');

export type OnlineRequest = z.output<typeof onlineRequest>;

/** What is wanted of one view. */
interface ViewRequest {
  readonly view: OnlineView;
  readonly features: readonly string[];
  /** The entity keys that are asked for, each once. */
  readonly keys: readonly Buffer[];
  /** For each row, the place of its key in `keys`. */
  readonly keyOfRow: readonly number[];
}

/** A feature of the answer, in the order of the request. */
export interface RequestedFeature {
  /** As the answer calls it. */
  readonly name: string;
  readonly view: OnlineView;
  readonly feature: string;
}

/** A request whose names are all known. */
export interface ResolvedRequest {
  readonly rows: number;
  readonly features: readonly RequestedFeature[];
  readonly views: readonly ViewRequest[];
}

/** Finds what a request names. @throws AsgardError INVALID_INPUT naming what is not known, with the nearest that is */
export function resolveOnlineRequest(request: OnlineRequest, known: OnlineViews): ResolvedRequest {
  const rows = rowsOf(request.entities);
  const features = featuresOf(request, known);
  if (rows * features.length > MAX_VALUES) {
    const asked = `${rows} rows of ${features.length} features are ${rows * features.length} values`;
    throw invalidInput(['entities'], `${asked}; at most ${MAX_VALUES} are answered at once`, 'too_big');
  }
  const views = [...new Set(features.map(({ view }) => view))];
  checkEntities(request.entities, views);
  return {
    rows,
    features,
    views: views.map((view) => ({
      view,
      features: features.filter((each) => each.view === view).map(({ feature }) => feature),
      ...keysOf(view, request.entities, rows),
    })),
  };
}

function rowsOf(entities: OnlineRequest['entities']): number {
  const [first, ...rest] = Object.entries(entities);
  if (first === undefined) throw invalidInput(['entities'], 'entities must hold a list of values for each join key');
  const [name, values] = first;
  const other = rest.find(([, list]) => list.length !== values.length);
  if (other !== undefined) {
    const message = `${other[0]} has ${other[1].length} values and ${name} has ${values.length}: each row needs one of both`;
    throw invalidInput(['entities', other[0]], message);
  }
  return values.length;
}

function featuresOf(request: OnlineRequest, known: OnlineViews): RequestedFeature[] {
  const { features: given, featureService, fullFeatureNames } = request;
  if ((given === undefined) === (featureService === undefined)) {
    throw invalidInput(['features'], 'give either features or a feature service');
  }
  const references = given ?? serviceFeatures(featureService ?? '', known);
  if (references.length === 0) throw invalidInput(['features'], 'features must name at least one feature');
  const features = references.map((reference, index) => {
    const path = given === undefined ? ['featureService'] : ['features', index];
    const { view, feature } = featureOf(reference, known, path);
    return { view, feature, name: fullFeatureNames ? `${view.name}__${feature}` : feature };
  });
  const seen = new Map<string, RequestedFeature>();
  for (const [index, feature] of features.entries()) {
    const before = seen.get(feature.name);
    if (before !== undefined) throw invalidInput(['features', index], twice(before, feature));
    seen.set(feature.name, feature);
  }
  return features;
}

function twice(before: RequestedFeature, again: RequestedFeature): string {
  if (before.view === again.view) return `${again.view.name}:${again.feature} is asked for twice`;
  return `${before.view.name} and ${again.view.name} both have a feature ${again.feature}: ask for full feature names`;
}

function serviceFeatures(name: string, { services }: OnlineViews): readonly string[] {
  const features = services.get(name);
  if (features !== undefined) return features;
  throw invalidInput(['featureService'], unknown(`feature service ${quoted(name)}`, name, [...services.keys()]));
}

function featureOf(reference: string, { views }: OnlineViews, path: readonly (string | number)[]) {
  const separator = reference.indexOf(':');
  if (separator < 1 || separator === reference.length - 1) {
    throw invalidInput(path, `a feature is named view:feature, not ${quoted(reference)}`);
  }
  const [viewName, feature] = [reference.slice(0, separator), reference.slice(separator + 1)];
  const view = views.get(viewName);
  if (view === undefined) {
    throw invalidInput(path, unknown(`feature view ${quoted(viewName)}`, viewName, [...views.keys()]));
  }
  if (!view.features.has(feature)) {
    const what = `feature ${quoted(feature)} in feature view ${viewName}`;
    throw invalidInput(path, unknown(what, feature, [...view.features.keys()]));
  }
  if (!view.isOnline) {
    throw invalidInput(path, `feature view ${viewName} is not online: apply it with "online": true first`);
  }
  return { view, feature };
}

function checkEntities(entities: OnlineRequest['entities'], views: readonly OnlineView[]): void {
  const wanted = new Set(views.flatMap(({ joinKeys }) => joinKeys.map(({ name }) => name)));
  const given = Object.keys(entities);
  for (const name of given) {
    if (!wanted.has(name))
      throw invalidInput(['entities', name], unknown(`join key ${quoted(name)}`, name, [...wanted]));
  }
  for (const { name, joinKeys } of views) {
    const missing = joinKeys.find((key) => !given.includes(key.name));
    if (missing === undefined) continue;
    throw invalidInput(
      ['entities', missing.name],
      `feature view ${name} needs the join key ${missing.name}`,
      'missing',
    );
  }
}

function keysOf(view: OnlineView, entities: OnlineRequest['entities'], rows: number) {
  const serializer = new EntityKeySerializer(view.joinKeys);
  const columns = view.joinKeys.map(({ name }) => entities[name] ?? []);
  const places = new Map<string, number>();
  const keys: Buffer[] = [];
  const keyOfRow = Array.from({ length: rows }, (_, row) => {
    const values = columns.map((column) => column[row]);
    const key = serializer.serialize(values, (name) => ['entities', name, row]);
    const text = key.toString('latin1');
    const place = places.get(text) ?? keys.push(key) - 1;
    places.set(text, place);
    return place;
  });
  return { keys, keyOfRow };
}

/** `there is no feature "x" in …; did you mean "y"?`, or what there is. */
function unknown(what: string, name: string, names: readonly string[]): string {
  const [nearest] = nearestNames(name, names, 1);
  if (nearest !== undefined) return `there is no ${what}; did you mean ${quoted(nearest)}?`;
  const shown = names.slice(0, 10).map(quoted).join(', ');
  return names.length === 0 ? `there is no ${what}` : `there is no ${what}; there is ${shown}`;
}

function quoted(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
