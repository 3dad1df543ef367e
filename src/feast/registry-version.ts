import type { Pool } from 'pg';
import { z } from 'zod';
import { AsgardError, messageOf } from '../platform/errors.ts';
import { SCHEMAS } from './settings.ts';

/** Feast's tables with what matters to who reads online values. */
const TABLES = [
  'feature_views',
  'stream_feature_views',
  'on_demand_feature_views',
  'label_views',
  'feature_services',
] as const;

/**
 * A row that is written gets the number of its transaction, which is higher than all before: so whatever is written or deleted
 * changes the count or the sum. Feast's own times of change are whole seconds. Definitions themselves are not read.
 */
const QUERY = {
  name: 'asgard_registry_version',
  text: `SELECT concat_ws(' ', ${TABLES.map(
    (table) => `(SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM ${SCHEMAS.registry}.${table})`,
  ).join(', ')}) AS version`,
};

const undefinedTable = z.object({ code: z.literal('42P01') });

/**
 * Tells one state of Feast's registry from another; null while there is no registry.
 * @throws AsgardError UNAVAILABLE when the database does not answer
 */
export async function registryVersion(pool: Pool): Promise<string | null> {
  try {
    const { rows } = await pool.query<{ version: string }>(QUERY);
    return rows[0]?.version ?? null;
  } catch (cause) {
    if (undefinedTable.safeParse(cause).success) return null;
    throw new AsgardError('UNAVAILABLE', `the feature registry does not answer: ${messageOf(cause)}`, { cause });
  }
}
