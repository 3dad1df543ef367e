import { z } from 'zod';
import { type FeatureServiceInput, featureServiceInput } from '../features/feature-services.ts';
import { type FeatureViewInput, featureViewFields, withTtl } from '../features/feature-view-input.ts';
import type { NamedPageQuery } from '../features/named-page.ts';
import { bounded } from '../platform/bounded.ts';
import { storableText } from '../platform/text.ts';
import { knownFields } from './known-fields.ts';
import { looseInteger, looseTruth, orDefault } from './wire.ts';
import { components } from './wire-answers.ts';

/** What `/feast` takes, by the wire's names, as `wire.ts` says. */

const MAX_PAGE = 1000;

const fields = featureViewFields.shape;
const feature = fields.features.out.element.shape;
const source = fields.source.shape;

const featureRequest = knownFields(
  z.object({
    name: feature.name.describe('A column of the table.'),
    dtype: feature.dtype.describe('Of a narrower type than the column only where the column’s values fit.'),
    description: orDefault(feature.description),
    tags: orDefault(feature.tags),
  }),
).describe('A column that is a feature.');

const sourceRequest = knownFields(
  z.object({
    table_name: source.tableName.describe('An Iceberg table.'),
    catalog: orDefault(source.catalog),
    schema: orDefault(source.schema),
    timestamp_field: source.timestampField.describe(
      'The column with the time of each row; may be left out when only one can be it.',
    ),
    created_timestamp_column: source.createdTimestampColumn.describe(
      'The column that decides between rows of one time: the later counts.',
    ),
  }),
).describe('The table that a view reads.');

const isDryRun = z.boolean().default(false);

/** A feature view as it shall be, and whether it shall only be said what that would do. */
export const featureViewRequest = knownFields(
  z.object({
    name: fields.name,
    entities: fields.entities.describe('The columns that tell whose features a row has: int, long or string.'),
    features: bounded(z.array(featureRequest).min(1).max(500), 500),
    source: sourceRequest,
    ttl_days: z
      .preprocess(looseInteger, fields.ttlDays.unwrap().nullish())
      .describe('How many days old a row may be to count; of any age when neither this nor `ttl_seconds` is given.'),
    ttl_seconds: z
      .preprocess(looseInteger, fields.ttlSeconds.unwrap().nullish())
      .describe('The same in seconds: one of the two.'),
    online: looseTruth(fields.online).describe('Whether its newest values shall be kept where they are read at once.'),
    description: orDefault(fields.description),
    owner: orDefault(fields.owner).describe('Who answers for it.'),
    tags: orDefault(fields.tags),
    dry_run: looseTruth(isDryRun).describe(
      'Only say what would become of it: nothing is written. `dryRun` says the same.',
    ),
    dryRun: looseTruth(isDryRun),
  }),
)
  .transform(({ source: wire, ttl_days, ttl_seconds, dry_run, dryRun, ...rest }, context) => {
    const { table_name, timestamp_field, created_timestamp_column, ...place } = wire;
    const table = { ...place, tableName: table_name };
    const times = { timestampField: timestamp_field, createdTimestampColumn: created_timestamp_column };
    const ttl = { ttlDays: ttl_days ?? undefined, ttlSeconds: ttl_seconds ?? undefined };
    const input: FeatureViewInput = withTtl({ ...rest, ...ttl, source: { ...table, ...times } }, context);
    return { isDryRun: dry_run || dryRun, input };
  })
  .meta({
    description: 'A feature view: columns of an Iceberg table that are features, and whose.',
    examples: [
      {
        name: 'customer_features',
        entities: ['customer_id'],
        features: [
          { name: 'total_orders', dtype: 'int64' },
          { name: 'avg_order_value', dtype: 'float64' },
        ],
        source: { table_name: 'customer_aggregates', catalog: 'iceberg', schema: 'gold' },
        ttl_days: 365,
        tags: { use_case: 'churn_prediction' },
      },
    ],
  })
  .register(components, { id: 'FeatureViewRequest' });

const service = featureServiceInput.shape;

/** A feature service as it shall be. */
export const featureServiceRequest = knownFields(
  z.object({
    name: service.name,
    features: service.features.describe('`view:feature`, or `view` for all features that it has now.'),
    description: orDefault(service.description),
    owner: orDefault(service.owner).describe('Who answers for it.'),
    tags: orDefault(service.tags),
  }),
)
  .transform((wire): FeatureServiceInput => wire)
  .meta({
    description: 'A feature service: a named choice of features of several views.',
    examples: [{ name: 'churn_model', features: ['customer_features:total_orders', 'customer_features'] }],
  })
  .register(components, { id: 'FeatureServiceRequest' });

/** The query of a list that is sorted by name. */
export const namedListQuery = z
  .object({
    limit: z
      .preprocess(looseInteger, z.int().min(1).max(MAX_PAGE).default(MAX_PAGE))
      .describe('At most this many.')
      .meta({ default: MAX_PAGE }),
    after: storableText(255).optional().describe('Only what follows this name.'),
    search: storableText(255).optional().describe('Only what has this in its name.'),
  })
  .transform(
    ({ limit, after, search }): NamedPageQuery => ({ first: limit, after: after ?? null, search: search ?? null }),
  );
