import { expect } from 'vitest';

/** Makes the table `iceberg.gold.customers` of two customers and what each `spent`, and the feature view `customers` of it. */
export async function applyCustomersView(url: string): Promise<void> {
  const send = async (method: string, path: string, type: string, body: string) => {
    const answer = await fetch(`${url}${path}`, { method, headers: { 'content-type': type }, body });
    expect(answer.status, await answer.clone().text()).toBe(201);
  };
  const rows = 'customer_id,event_timestamp,spent\n1,2025-10-01T00:00:00Z,1.5\n2,2025-10-01T00:00:00Z,2.5\n';
  await send('PUT', '/iceberg/tables/gold/customers', 'text/csv', rows);
  const view = {
    name: 'customers',
    entities: ['customer_id'],
    features: [{ name: 'spent', dtype: 'float64' }],
    source: { table_name: 'customers', catalog: 'iceberg', schema: 'gold' },
  };
  await send('POST', '/feast/features', 'application/json', JSON.stringify(view));
}
