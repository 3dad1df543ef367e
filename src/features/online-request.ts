import { z } from 'zod';
import { EntityKeySerializer } from '../feast/entity-key.ts';
import { bounded } from '../platform/bounded.ts';
import { invalidInput } from '../platform/errors.ts';
import {
  type FeatureReference,
  namedFeatures,
  quoted,
  type ReadView,
  serviceFeatures,
  unknown,
} from './online-references.ts';
import type { OnlineViews } from './online-views.ts';

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
  readonly source: ReadView;
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
  readonly source: ReadView;
  readonly feature: string;
}

/** A request whose names are all known. */
export interface ResolvedRequest {
  readonly features: readonly RequestedFeature[];
  readonly views: readonly ViewRequest[];
}

/** Finds what a request names. @throws AsgardError INVALID_INPUT naming what is not known, with the nearest that is */
export function resolveOnlineRequest(request: OnlineRequest, known: OnlineViews): ResolvedRequest {
  return resolveFeatures(featuresOf(request, known), request.entities);
}

/** Finds what has to be read for these features of these entities. @throws AsgardError INVALID_INPUT for the entities */
export function resolveFeatures(
  features: readonly RequestedFeature[],
  entities: OnlineRequest['entities'],
): ResolvedRequest {
  const rows = rowsOf(entities);
  if (rows * features.length > MAX_VALUES) {
    const asked = `${rows} rows of ${features.length} features are ${rows * features.length} values`;
    throw invalidInput(['entities'], `${asked}; at most ${MAX_VALUES} are answered at once`, 'too_big');
  }
  const featuresOfView = Map.groupBy(features, ({ source }) => source);
  checkEntities(entities, [...featuresOfView.keys()]);
  return {
    features,
    views: [...featuresOfView].map(([source, list]) => ({
      source,
      features: list.map(({ feature }) => feature),
      ...keysOf(source, entities, rows),
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
  const references = given === undefined ? serviceFeatures(featureService ?? '', known) : namedFeatures(given, known);
  if (references.length === 0) throw invalidInput(['features'], 'features must name at least one feature');
  const seen = new Map<string, FeatureReference>();
  return references.map((reference) => {
    const { source, feature, path } = reference;
    const name = fullFeatureNames ? `${source.name}__${feature}` : feature;
    const before = seen.get(name);
    if (before !== undefined) throw invalidInput(path, twice(before, reference));
    seen.set(name, reference);
    return { name, source, feature };
  });
}

function twice(before: FeatureReference, again: FeatureReference): string {
  const [one, other] = [before.source.name, again.source.name];
  if (one === other) return `${one}:${again.feature} is asked for twice`;
  return `${one} and ${other} both have a feature ${again.feature}: ask for full feature names`;
}

function checkEntities(entities: OnlineRequest['entities'], sources: readonly ReadView[]): void {
  const wanted = new Set(sources.flatMap(({ joinKeys }) => joinKeys.map(({ asked }) => asked)));
  const given = Object.keys(entities);
  for (const name of given) {
    if (!wanted.has(name))
      throw invalidInput(['entities', name], unknown(`join key ${quoted(name)}`, name, [...wanted]));
  }
  for (const { name, joinKeys } of sources) {
    const missing = joinKeys.find(({ asked }) => !given.includes(asked));
    if (missing === undefined) continue;
    const message = `feature view ${name} needs the join key ${missing.asked}`;
    throw invalidInput(['entities', missing.asked], message, 'missing');
  }
}

function keysOf({ joinKeys }: ReadView, entities: OnlineRequest['entities'], rows: number) {
  const serializer = new EntityKeySerializer(joinKeys);
  const columns = joinKeys.map(({ asked }) => entities[asked] ?? []);
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
