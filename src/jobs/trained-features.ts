import { z } from 'zod';
import type { JobFeatureRead } from '../database/generated/client.ts';
import type { TrainedFeature } from '../features/trained-features.ts';
import { bounded } from '../platform/bounded.ts';
import { nameText } from '../platform/text.ts';

const MAX_JOIN_KEYS = 100;
/** `customer_stats@v2`: another version of a view than its newest. */
const VERSIONED = /^(.*)@v(\d{1,9})$/s;

/** How a training set came by the features of a view: as scripts tell it, and as it is stored. */
export const retrieval = z.object({
  /** The view's name in the registry; the read may have it under an alias. */
  view: nameText(500),
  /** For each join key of the view the name that the entity rows have for it. */
  join_keys: bounded(z.record(nameText(500), nameText(500)), MAX_JOIN_KEYS),
  full_feature_names: z.boolean(),
});

/** What was read, feature by feature, each once for every way in which a training set had it. */
export function trainedFeatures(
  reads: readonly Pick<JobFeatureRead, 'featureView' | 'features' | 'retrieval'>[],
): TrainedFeature[] {
  const found = new Map<string, TrainedFeature>();
  for (const { featureView, features, retrieval: stored } of reads) {
    const [, unversioned = featureView, version] = VERSIONED.exec(featureView) ?? [];
    const how = stored === null ? null : retrieval.parse(stored);
    for (const feature of features) {
      found.set(JSON.stringify([featureView, feature, how]), {
        view: how?.view ?? unversioned,
        viewName: unversioned,
        version: version === undefined ? null : Number(version),
        joinKeys: new Map(Object.entries(how?.join_keys ?? {})),
        feature,
        hasFullName: how?.full_feature_names ?? null,
      });
    }
  }
  return [...found.values()];
}
