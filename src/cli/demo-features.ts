import { setTimeout as delay } from 'node:timers/promises';
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

const ONLINE_VIEW = 'customer_features';

/** What is known of customers, and what became of them: of one table. */
const VIEWS = [
  { name: ONLINE_VIEW, features: FEATURES, online: true },
  { name: 'customer_outcomes', features: [{ name: 'churned', dtype: 'int32' }] },
].map((view) => ({
  ...view,
  entities: ['customer_id'],
  source: { table_name: TABLE.name, schema: TABLE.schema, catalog: 'iceberg' },
}));

const written = z.object({ snapshot_id: z.string(), total_rows: z.int(), columns: z.array(z.unknown()) });
const applied = z.object({ name: z.string(), message: z.string() });

const asked = z.object({ materializations: z.array(z.object({ materialization_id: z.string() })).min(1) });
const materialization = z.object({ status: z.string(), error: z.string().nullable() });
const byEntity = z.object({ predictions: z.array(z.number()), metadata: z.object({ engine: z.string() }) });

/** The platform's REST API, as the demo calls it: the answer of a call that held. A body that is no text goes as JSON. */
export type Rest = (
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  body?: string | object,
  contentType?: string,
) => Promise<unknown>;

/** Calls the REST API at that address. A call throws when its answer is none of success. */
export function restOf(url: string, { apiKey, signal }: { apiKey?: string | undefined; signal?: AbortSignal }): Rest {
  return async (method, path, body, contentType = 'application/json') => {
    const key = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    const headers = { ...(body !== undefined && { 'content-type': contentType }), ...key };
    const text = typeof body === 'object' ? JSON.stringify(body) : (body ?? null);
    const response = await fetch(`${url}${path}`, { method, headers, body: text, signal: signal ?? null });
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    return await response.json();
  };
}

/**
 * Makes the table from which `examples/churn/train.py` reads.
 * @param csv as `examples/churn/make_data.py --keyed` writes it
 * @returns a line that says what it is
 */
export async function writeTable(rest: Rest, csv: string): Promise<string> {
  const { schema, name } = TABLE;
  const table = written.parse(await rest('PUT', `/iceberg/tables/${schema}/${name}`, csv, 'text/csv'));
  return `${table.total_rows} rows of ${table.columns.length} columns, snapshot ${table.snapshot_id}`;
}

/** Makes the feature views by which it reads. @returns a line for each */
export async function makeViews(rest: Rest): Promise<string[]> {
  const lines: string[] = [];
  for (const view of VIEWS) {
    const { name, message } = applied.parse(await rest('POST', '/feast/features', view));
    lines.push(`${name}: ${view.features.map((feature) => feature.name).join(', ')} (${message})`);
  }
  return lines;
}

/**
 * Brings the newest features into the online store, as happens by itself every few minutes, and waits for that.
 * @returns a line that says what came of it
 */
export async function materialize(rest: Rest, signal: AbortSignal): Promise<string> {
  const { materializations } = asked.parse(await rest('POST', '/feast/materialize', { feature_views: [ONLINE_VIEW] }));
  for (;;) {
    const path = `/feast/materializations/${materializations[0]?.materialization_id}`;
    const { status, error } = materialization.parse(await rest('GET', path));
    if (status === 'completed') return `the newest of ${ONLINE_VIEW} are online`;
    if (status === 'failed') throw new Error(`the materialization failed: ${error}`);
    await delay(200, undefined, { signal });
  }
}

/** Predicts for customers of whom only the number is given. @returns a line for each */
export async function predictByEntity(rest: Rest, model: string, customers: readonly number[]): Promise<string[]> {
  const body = { model_name: model, entities: { customer_id: customers }, include_metadata: true };
  const { predictions } = byEntity.parse(await rest('POST', '/mlops/inference', body));
  return predictions.map((churned, index) => `customer_id ${customers[index]}: churned = ${churned}`);
}
