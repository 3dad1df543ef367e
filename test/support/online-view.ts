import { z } from 'zod';
import type { FeastBridge } from '../../src/feast/bridge.ts';
import type { Columns, FeastSdk, Row } from './feast-sdk.ts';
import { uniqueName } from './unique-name.ts';

const HOUR_MS = 3_600_000;

/** A table of customers, with a column for each kind of value that matters. */
export const COLUMNS: Columns = {
  customer_id: 'long',
  event_timestamp: 'time',
  total_purchases: 'long',
  avg_purchase_value: 'double',
  name: 'string',
  scores: 'longs',
};

/** The features of its view. */
export const DTYPES = {
  total_purchases: 'int64',
  avg_purchase_value: 'float64',
  name: 'string',
  scores: 'array_int64',
};

/** A row of some hours ago, whose values are made of `total`. */
export function row(customer: number | null, hoursAgo: number, total: number | null, changes: Row = {}): Row {
  return {
    customer_id: customer,
    event_timestamp: new Date(Date.now() - hoursAgo * HOUR_MS).toISOString(),
    total_purchases: total,
    avg_purchase_value: total === null ? null : total + 0.5,
    name: total === null ? null : `kůň ${total}`,
    scores: total === null ? null : [total, 2],
    ...changes,
  };
}

/** Makes a table `gold.<name>` with these rows, and an online view of it. @returns the name of both */
export async function makeOnlineView(
  bridge: Pick<FeastBridge, 'request'>,
  sdk: FeastSdk,
  rows: readonly Row[],
  changes: object = {},
): Promise<string> {
  const name = uniqueName('view').replaceAll('-', '_');
  await sdk.create(`gold.${name}`, COLUMNS, rows);
  const source = {
    catalog: 'iceberg',
    schema: 'gold',
    tableName: name,
    timestampField: 'event_timestamp',
    createdTimestampColumn: null,
  };
  const described = { description: '', tags: {} };
  const list = Object.entries(DTYPES).map(([name, dtype]) => ({ name, dtype, ...described }));
  const definition = {
    name,
    entities: ['customer_id'],
    features: list,
    source,
    ttlSeconds: 0,
    online: true,
    owner: '',
  };
  await bridge.request('views.apply', { ...definition, ...described, ...changes }, z.unknown());
  return name;
}
