import { z } from 'zod';
import { components, names, time } from './wire-answers.ts';

/** What `/feast` answers about views and services, as `wire-answers.ts` says. */

const action = z.enum(['created', 'changed', 'unchanged']);

const view = z.object({
  name: z.string(),
  entities: z.array(z.string()),
  features: z.array(z.string()).describe('The names of its features.'),
  source_table: z.string().describe('Catalog, schema and table.'),
  online_enabled: z.boolean(),
  created_at: time,
});

const EXAMPLE = {
  name: 'customer_features',
  entities: ['customer_id'],
  features: ['total_orders', 'avg_order_value'],
  source_table: 'iceberg.gold.customer_aggregates',
  online_enabled: false,
  created_at: '2025-11-03T10:00:00',
};

export const appliedFeatureView = view
  .extend({
    status: action.describe('`unchanged` when it was what was asked for already.'),
    message: z.string().describe('What was done, for people to read.'),
  })
  .describe('What became of a feature view.')
  .meta({
    examples: [{ ...EXAMPLE, status: 'created', message: 'the feature view "customer_features" was created' }],
  })
  .register(components, { id: 'AppliedFeatureView' });

const field = z
  .object({ name: z.string(), dtype: z.string(), description: z.string(), tags: names })
  .describe('A feature.')
  .register(components, { id: 'Feature' });

export const featureViewDetails = view
  .extend({
    fields: z.array(field).describe('What its features are.'),
    timestamp_field: z.string().describe('The column with the time of each row.'),
    created_timestamp_column: z.string().nullable(),
    ttl_seconds: z.int().min(0).describe('How old a row may be to count; 0 for any age.'),
    description: z.string(),
    owner: z.string(),
    tags: names,
    version: z.int().min(0).describe('Raised by every change of its features or entities.'),
    updated_at: time,
  })
  .describe('A feature view.')
  .meta({
    examples: [
      {
        ...EXAMPLE,
        fields: [
          { name: 'total_orders', dtype: 'int64', description: '', tags: {} },
          { name: 'avg_order_value', dtype: 'float64', description: '', tags: {} },
        ],
        timestamp_field: 'event_timestamp',
        created_timestamp_column: null,
        ttl_seconds: 31_536_000,
        description: '',
        owner: '',
        tags: { use_case: 'churn_prediction' },
        version: 0,
        updated_at: '2025-11-03T10:00:00',
      },
    ],
  })
  .register(components, { id: 'FeatureView' });

export const featureViewList = z
  .array(featureViewDetails)
  .describe('Feature views, by name.')
  .register(components, { id: 'FeatureViews' });

const change = z
  .object({
    kind: z.enum(['added', 'removed', 'changed']),
    path: z.array(z.string()).describe('Where in the definition.'),
    before: z.unknown(),
    after: z.unknown(),
  })
  .describe('A difference between a view as it is and as it would be.')
  .register(components, { id: 'FeatureViewChange' });

export const featureViewPlan = z
  .object({
    name: z.string(),
    action: action.describe('What applying it would do.'),
    message: z.string(),
    changes: z.array(change),
    source_table: z.string(),
    snapshot_id: z.string().nullable().describe('Of the table as it was looked at.'),
    columns: z.array(z.object({ name: z.string(), type: z.string(), required: z.boolean() })).describe('The table’s.'),
    sampled_rows: z.int().min(0).describe('How many of the table’s first rows were looked at, at most 10,000.'),
    null_rates: z.record(z.string(), z.number()).describe('For each column that the view reads the share of nulls.'),
    repeated_keys: z.int().min(0).describe('Rows whose entities and time another row has too.'),
    rows: z.array(z.record(z.string(), z.unknown())).describe('The first five.'),
  })
  .describe('What would become of a feature view.')
  .register(components, { id: 'FeatureViewPlan' });

const service = z.object({
  name: z.string(),
  features: z.array(z.string()).describe('Each as `view:feature`.'),
  feature_views: z.array(z.string()),
  created_at: time,
});

export const appliedFeatureService = service
  .extend({ status: action, message: z.string() })
  .describe('What became of a feature service.')
  .register(components, { id: 'AppliedFeatureService' });

export const featureServiceDetails = service
  .extend({ description: z.string(), owner: z.string(), tags: names, updated_at: time })
  .describe('A feature service.')
  .register(components, { id: 'FeatureService' });

export const featureServiceList = z
  .array(featureServiceDetails)
  .describe('Feature services, by name.')
  .register(components, { id: 'FeatureServices' });

export const deletedFeature = z
  .object({ name: z.string(), status: z.literal('deleted'), message: z.string() })
  .describe('What was deleted.')
  .register(components, { id: 'DeletedFeature' });

export const featureStoreStatus = z
  .object({
    registry_type: z.string(),
    online_store_type: z.string(),
    offline_store_type: z.string(),
    num_feature_views: z.int().min(0),
    num_entities: z.int().min(0),
    num_feature_services: z.int().min(0),
    feature_views: z.array(z.string()).describe('Their names; of more than 1,000 the first.'),
    entities: z.array(z.string()).describe('Their names; of more than 1,000 the first.'),
  })
  .describe('What the feature store holds.')
  .meta({
    examples: [
      {
        registry_type: 'sql',
        online_store_type: 'postgres',
        offline_store_type: 'iceberg',
        num_feature_views: 1,
        num_entities: 1,
        num_feature_services: 0,
        feature_views: ['customer_features'],
        entities: ['customer_id'],
      },
    ],
  })
  .register(components, { id: 'FeatureStoreStatus' });
