import { z } from 'zod';

const at = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

/** A feature of a view. `dtype` is one of `DTYPES`, or Feast's own word for what another client declared. */
const feature = z.object({
  name: z.string(),
  dtype: z.string(),
  description: z.string(),
  tags: z.record(z.string(), z.string()),
});

const definition = z.object({
  name: z.string(),
  entities: z.array(z.string()),
  features: z.array(feature),
  source: z.object({
    catalog: z.string(),
    schema: z.string(),
    tableName: z.string(),
    timestampField: z.string(),
    createdTimestampColumn: z.string().nullable(),
  }),
  /** 0: rows of any age count. */
  ttlSeconds: z.int(),
  online: z.boolean(),
  description: z.string(),
  owner: z.string(),
  tags: z.record(z.string(), z.string()),
});

/** A feature view as the registry has it. */
export const featureView = definition.extend({
  /** Raised by every change of its features or entities; the first is 0. */
  version: z.int(),
  createdAt: at,
  updatedAt: at,
});

export type FeatureView = z.output<typeof featureView>;

/** One difference between a view as it is and as it shall be; `path` leads to it: `['features', 'total_orders', 'dtype']`. */
const change = z.object({
  kind: z.enum(['added', 'removed', 'changed']),
  path: z.array(z.string()),
  before: z.unknown(),
  after: z.unknown(),
});

const action = z.enum(['created', 'changed', 'unchanged']);

/** What became of a definition. */
export const appliedFeatureView = z.object({ action, changes: z.array(change), view: featureView });

export type AppliedFeatureView = z.output<typeof appliedFeatureView>;
export type FeatureViewChange = z.output<typeof change>;

/** What a definition would become. */
export const featureViewPlan = z.object({
  action,
  changes: z.array(change),
  /** As it would be. */
  view: definition,
  table: z.object({
    /** `iceberg.gold.customer_metrics` */
    name: z.string(),
    columns: z.array(z.object({ name: z.string(), type: z.string(), required: z.boolean() })),
    /** Text, as 64 bits are more than a number holds; null before the first snapshot. */
    snapshotId: z.string().nullable(),
  }),
  sample: z.object({
    rows: z.int(),
    nullRates: z.array(z.object({ column: z.string(), rate: z.number() })),
    /** Rows whose entities and time another row has too. */
    repeatedKeys: z.int(),
    columns: z.array(z.string()),
    /** `firstRows[row][column]` */
    firstRows: z.array(z.array(z.unknown())),
  }),
});

export type FeatureViewPlan = z.output<typeof featureViewPlan>;

/** As people write it: `iceberg.gold.customer_metrics`. */
export function sourceTable({ catalog, schema, tableName }: FeatureView['source']): string {
  return [catalog, schema, tableName].filter((part) => part !== '').join('.');
}
