import { z } from 'zod';
import { bounded } from '../platform/bounded.ts';
import { storableText } from '../platform/text.ts';

const MAX_TABLES = 100;
const MAX_SNAPSHOT = 2n ** 63n - 1n;
/** The platform's clock and a caller's may differ. */
const CLOCK_MS = 60_000;

/** A table's name with catalog and schema. */
export const tableName = storableText(500)
  .regex(
    /^[^\s.]+(\.[^\s.]+){2,}$/,
    'must be catalog, schema and table with "." between them, such as iceberg.gold.customer_metrics',
  )
  .meta({ pattern: '^[^\\s.\\u0000]+(\\.[^\\s.\\u0000]+){2,}$' });

/** An Iceberg snapshot's id. As text: a number of JSON would lose its last digits on the way. */
export const snapshotId = z
  .string()
  .regex(/^\d{1,19}$/, 'must be a snapshot id: a whole number as text, such as "8744736658442914487"')
  .refine((id) => !/^\d{1,19}$/.test(id) || BigInt(id) <= MAX_SNAPSHOT, 'must be a whole number of 64 bits');

/**
 * What a job's reads of the feature store are held to, so that they give the same rows again: of the tables that `snapshots`
 * names those snapshots, of all others what was current at `asOf`; without that, what is current when they are read.
 */
export const featurePins = z.object({
  /** In UTC, with milliseconds. */
  asOf: z.iso
    .datetime({ offset: true, error: 'must be a time with its offset from UTC, such as 2025-11-03T10:00:00Z' })
    .transform((text) => new Date(text).toISOString())
    .refine((text) => Date.parse(text) <= Date.now() + CLOCK_MS, 'must not lie in the future')
    .optional(),
  /** By table. */
  snapshots: bounded(z.record(tableName, snapshotId).meta({ maxProperties: MAX_TABLES }), MAX_TABLES).optional(),
});

type FeaturePins = z.infer<typeof featurePins>;

/** As they were stored. */
export function storedPins(stored: unknown): FeaturePins | null {
  return stored === null ? null : featurePins.parse(stored);
}

/** As scripts are given them, and REST takes and shows them: `{"as_of": …, "snapshots": {…}}`. */
export function wirePins({ asOf, snapshots }: FeaturePins) {
  return { ...(asOf !== undefined && { as_of: asOf }), ...(snapshots !== undefined && { snapshots }) };
}
