import { z } from 'zod';
import type { Materialization } from '../database/generated/client.ts';
import { components } from './wire-answers.ts';

const MAX_VIEWS = 1_000;

/** The body of a request to materialize. */
export const materializationRequest = z
  .object({
    feature_views: z
      .array(z.string().max(512))
      .min(1)
      .max(MAX_VIEWS)
      .nullish()
      .describe('Their names; absent: all that are online.'),
  })
  .meta({
    description: 'Which feature views to bring up to their tables.',
    examples: [{ feature_views: ['customer_churn_features'] }],
  })
  .register(components, { id: 'MaterializationRequest' });

const time = z.iso.datetime().describe('UTC.');

export const materialization = z
  .object({
    materialization_id: z.string(),
    feature_view: z.string(),
    status: z.enum(['queued', 'running', 'completed', 'failed']),
    mode: z
      .enum(['unchanged', 'incremental', 'full'])
      .nullable()
      .describe('What was read: nothing, the rows that were appended, or the whole table; null before the end.'),
    rows_read: z.number(),
    rows_skipped: z.number().describe('Rows of no entity: they lack a join key or their time.'),
    values_written: z.number(),
    entities_deleted: z.number().describe('Entities that were in the table no more.'),
    entities: z.number().describe('While it runs, those that were read so far; then those that have values.'),
    snapshot_id: z.string().nullable().describe('Of the table, that the values are of.'),
    error: z.string().nullable().describe('Why it failed.'),
    created_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable(),
  })
  .describe('One run that brings the online values of a feature view up to its table.')
  .meta({
    examples: [
      {
        materialization_id: '0123456789abcdef',
        feature_view: 'customer_churn_features',
        status: 'completed',
        mode: 'incremental',
        rows_read: 120,
        rows_skipped: 0,
        values_written: 360,
        entities_deleted: 0,
        entities: 20_000,
        snapshot_id: '3051729675574597004',
        error: null,
        created_at: '2025-11-03T10:00:00.000Z',
        started_at: '2025-11-03T10:00:00.010Z',
        completed_at: '2025-11-03T10:00:00.450Z',
      },
    ],
  })
  .register(components, { id: 'Materialization' });

export const materializations = z
  .object({ materializations: z.array(materialization).describe('One for each view; one that ran already is joined.') })
  .describe('Runs that were begun.')
  .register(components, { id: 'Materializations' });

const STATUSES = { QUEUED: 'queued', RUNNING: 'running', COMPLETED: 'completed', FAILED: 'failed' } as const;
const MODES = { UNCHANGED: 'unchanged', INCREMENTAL: 'incremental', FULL: 'full' } as const;

/** A run by the wire's names. */
export function presentMaterialization(row: Materialization): z.infer<typeof materialization> {
  return {
    materialization_id: row.id,
    feature_view: row.featureView,
    status: STATUSES[row.status],
    mode: row.mode === null ? null : MODES[row.mode],
    rows_read: Number(row.rowsRead),
    rows_skipped: Number(row.rowsSkipped),
    values_written: Number(row.valuesWritten),
    entities_deleted: Number(row.entitiesDeleted),
    entities: Number(row.entities),
    snapshot_id: row.snapshotId,
    error: row.error,
    created_at: row.createdAt.toISOString(),
    started_at: row.startedAt?.toISOString() ?? null,
    completed_at: row.completedAt?.toISOString() ?? null,
  };
}
