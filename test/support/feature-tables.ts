import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FeaturesForTests } from './features-for-tests.ts';

/** Makes a table, or puts other rows into it, from the lines of a CSV file. @param types of columns, by Iceberg's names */
export async function writeTable(
  { bridge, folder }: Pick<FeaturesForTests, 'bridge' | 'folder'>,
  table: `${string}.${string}`,
  types: Readonly<Record<string, string>>,
  rows: readonly (readonly (string | number | null)[])[],
  mode: 'replace' | 'append' = 'replace',
): Promise<void> {
  const [schema, name] = table.split('.');
  const path = join(folder, `${randomUUID()}.csv`);
  await writeFile(path, `${[Object.keys(types), ...rows].map((row) => row.join(',')).join('\n')}\n`);
  const file = { path, media_type: 'text/csv', write_id: randomUUID() };
  await bridge.request('tables.write', { schema, name, mode, types, ...file }, z.object({ created: z.boolean() }));
  await rm(path);
}

/** The columns of the guide's table, and five customers of it. Days are longs, as a file without types gives them. */
export const CUSTOMER_METRICS = {
  types: {
    customer_id: 'long',
    event_timestamp: 'timestamptz',
    total_purchases: 'long',
    avg_purchase_value: 'double',
    days_since_last_purchase: 'long',
  },
  rows: [1, 2, 3, 4, 5].map((id) => [id, `2025-11-0${id}T00:00:00Z`, id * 10, id === 3 ? null : id * 1.5, id * 7]),
} as const;
