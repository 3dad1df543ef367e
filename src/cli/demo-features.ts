import { z } from 'zod';

const FEATURES = [
  { name: 'support_tickets_count', dtype: 'int64' },
  { name: 'days_since_last_purchase', dtype: 'int32' },
  { name: 'total_purchases', dtype: 'int64' },
  { name: 'customer_lifetime_value', dtype: 'float64' },
  { name: 'account_age_days', dtype: 'int64' },
  { name: 'avg_purchase_value', dtype: 'float64' },
];

const TABLE = { schema: 'gold', name: 'customers' };

/** What is known of customers, and what became of them: of one table. */
const VIEWS = [
  { name: 'customer_features', features: FEATURES },
  { name: 'customer_outcomes', features: [{ name: 'churned', dtype: 'int32' }] },
].map((view) => ({
  ...view,
  entities: ['customer_id'],
  source: { table_name: TABLE.name, schema: TABLE.schema, catalog: 'iceberg' },
  ttl_days: 365,
}));

const written = z.object({ snapshot_id: z.string(), total_rows: z.int(), columns: z.array(z.unknown()) });
const applied = z.object({ name: z.string(), message: z.string() });

/** The platform's REST API, as the demo calls it: the answer of a call that held. */
export type Rest = (method: 'PUT' | 'POST', path: string, contentType: string, body: string) => Promise<unknown>;

/**
 * Makes the table from which `examples/churn/train.py` reads.
 * @param csv as `examples/churn/make_data.py --keyed` writes it
 * @returns a line that says what it is
 */
export async function writeTable(rest: Rest, csv: string): Promise<string> {
  const { schema, name } = TABLE;
  const table = written.parse(await rest('PUT', `/iceberg/tables/${schema}/${name}`, 'text/csv', csv));
  return `${table.total_rows} rows of ${table.columns.length} columns, snapshot ${table.snapshot_id}`;
}

/** Makes the feature views by which it reads. @returns a line for each */
export async function makeViews(rest: Rest): Promise<string[]> {
  const lines: string[] = [];
  for (const view of VIEWS) {
    const { name, message } = applied.parse(
      await rest('POST', '/feast/features', 'application/json', JSON.stringify(view)),
    );
    lines.push(`${name}: ${view.features.map((feature) => feature.name).join(', ')} (${message})`);
  }
  return lines;
}
