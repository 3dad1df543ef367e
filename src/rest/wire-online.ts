import { z } from 'zod';
import { VALUE_FORMS } from '../features/online.ts';
import { type OnlineRequest, onlineRequest } from '../features/online-request.ts';
import { components } from './wire-answers.ts';

/*
 * Online features as `feast serve` takes and answers them at `/get-online-features`, with the age of each value beside.
 */

const asked = onlineRequest.shape;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z$/;

/** The body of a request for online features. */
export const onlineFeaturesRequest = z
  .object({
    features: asked.features.unwrap().nullish().describe('Each as `view:feature`; or give `feature_service`.'),
    feature_service: asked.featureService.unwrap().nullish().describe('Gives the features of this service.'),
    entities: asked.entities,
    full_feature_names: asked.fullFeatureNames
      .unwrap()
      .nullish()
      .describe('Whether features are named `view__feature`, as two views may have one of the same name.')
      .meta({ default: false }),
  })
  .transform(
    (wire): OnlineRequest => ({
      // An empty list beside a service is how a client of Feast's may say that there is none.
      features: wire.features?.length === 0 && wire.feature_service != null ? undefined : (wire.features ?? undefined),
      featureService: wire.feature_service ?? undefined,
      entities: wire.entities,
      fullFeatureNames: wire.full_feature_names ?? false,
    }),
  )
  .meta({
    description: 'Which features of which entities.',
    examples: [
      {
        features: ['customer_churn_features:total_purchases', 'customer_churn_features:avg_purchase_value'],
        entities: { customer_id: [1, 2] },
      },
    ],
  })
  .register(components, { id: 'OnlineFeaturesRequest' });

const column = z.object({
  values: z.array(z.unknown()).describe(`One for each row. ${VALUE_FORMS}`),
  statuses: z
    .array(z.enum(['PRESENT', 'NOT_FOUND', 'OUTSIDE_MAX_AGE']))
    .describe('`OUTSIDE_MAX_AGE`: there is a value, but it is older than its view’s ttl allows; it is not given.'),
  event_timestamps: z
    .array(z.string().regex(TIME))
    .describe('When each value was true; the first second of 1970 where there is none, and for join keys.'),
  ages_seconds: z
    .array(z.number().nullable())
    .describe('How long ago that was; null where there is none, and for join keys.'),
});

export const onlineFeatures = z
  .object({
    metadata: z.object({
      feature_names: z.array(z.string()).describe('The join keys, and then the features, in the order of `results`.'),
    }),
    results: z.array(column),
  })
  .describe('The values of the join keys and features, each for all rows.')
  .meta({
    examples: [
      {
        metadata: { feature_names: ['customer_id', 'total_purchases'] },
        results: [
          {
            values: [1, 2],
            statuses: ['PRESENT', 'PRESENT'],
            event_timestamps: ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z'],
            ages_seconds: [null, null],
          },
          {
            values: [11, null],
            statuses: ['PRESENT', 'NOT_FOUND'],
            event_timestamps: ['2025-11-03T10:00:00Z', '1970-01-01T00:00:00Z'],
            ages_seconds: [3600.5, null],
          },
        ],
      },
    ],
  })
  .register(components, { id: 'OnlineFeatures' });
