import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { AsgardClient } from '../../src/client/client.ts';
import type { FeatureViewInput } from '../../src/client/generated/graphql.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');
const client = new AsgardClient({ url });
const { features } = client;
afterAll(() => client[Symbol.asyncDispose]());

const name = uniqueName('client').replaceAll('-', '_');
const input: FeatureViewInput = {
  name,
  entities: ['customer_id'],
  features: [{ name: 'orders', dtype: 'INT64' }],
  source: { schema: name, tableName: 'customers' },
  online: true,
};
const offline = { ...input, name: `${name}_offline`, online: false };
const namesOf = async (items: AsyncIterable<{ name: string }>) =>
  (await Array.fromAsync(items)).map((each) => each.name);

async function put(schema: string, table: string, body: string): Promise<void> {
  const address = `${url}/iceberg/tables/${schema}/${table}`;
  const answer = await fetch(address, { method: 'PUT', headers: { 'content-type': 'text/csv' }, body });
  expect(answer.ok, await answer.clone().text()).toBe(true);
}

beforeAll(async () => {
  const body = 'customer_id,event_timestamp,orders\n1,2025-11-01T00:00:00Z,3\n2,2025-11-02T00:00:00Z,5\n';
  for (const table of ['customers', 'orders']) await put(name, table, body);
});

describe.sequential('the client of features', () => {
  test('lists tables, describes one and gives its rows', async () => {
    const all = await Array.fromAsync(features.allTables({ first: 1 }));
    expect(all.filter(({ schema }) => schema === name)).toMatchObject([{ name: 'customers' }, { name: 'orders' }]);
    const table = await features.table(name, 'customers');
    expect(table).toMatchObject({ rowCount: 2, snapshots: [{ id: table.currentSnapshotId, addedRows: 2 }] });
    expect(table.columns.map((column) => column.name)).toEqual(['customer_id', 'event_timestamp', 'orders']);
    expect(await features.tableRows(name, 'customers', { rows: 1 })).toEqual([
      { customer_id: 1, event_timestamp: expect.any(String), orders: 3 },
    ]);
    const missing = { code: 'NOT_FOUND', message: `there is no table "${name}.none"` };
    await expect(features.table(name, 'none')).rejects.toMatchObject(missing);
    await expect(features.tableRows(name, 'none')).rejects.toMatchObject(missing);
  });

  test('plans a feature view without writing it, applies it, and says what does not fit its table', async () => {
    expect(await features.planView(input)).toMatchObject({ action: 'CREATED', sample: { rowCount: 2 } });
    await expect(features.view(name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await features.applyView(input)).toMatchObject({ action: 'CREATED', view: { name, version: 0 } });
    expect(await features.applyView(input)).toMatchObject({ action: 'UNCHANGED', changes: [] });
    await features.applyView(offline);
    expect(await namesOf(features.allViews({ search: name, first: 1 }))).toEqual([name, offline.name]);
    expect(await features.view(offline.name)).toMatchObject({ online: false, materialization: null });
    expect(await namesOf(features.allEntities({ search: 'customer_id' }))).toContain('customer_id');
    const refused = features.applyView({ ...input, features: [{ name: 'order', dtype: 'INT64' }] });
    await expect(refused).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      issues: [{ path: ['features', '0', 'name'] }],
    });
  });

  test('applies a feature service, which keeps its views', async () => {
    const service = { name, features: [`${name}:orders`], owner: 'crm' };
    expect(await features.applyService(service)).toMatchObject({ action: 'CREATED', service });
    expect(await namesOf(features.allServices({ search: name }))).toEqual([name]);
    expect(await features.service(name)).toMatchObject(service);
    await expect(features.deleteView(name)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('materializes, follows that to its end, and reads what is online', async () => {
    const [started] = await features.materialize([name]);
    const id = started?.id ?? '';
    const states = await Array.fromAsync(features.materializationEvents(id));
    expect(states.at(-1)).toMatchObject({ id, status: 'COMPLETED', entities: 2 });
    expect(await features.materialization(id)).toEqual(states.at(-1));
    expect(await features.materializations({ featureViewName: name })).toContainEqual(states.at(-1));
    expect(await features.view(name)).toMatchObject({ materialization: { entities: 2, isBehind: false } });
    const { features: columns } = await features.online({ featureService: name, entities: { customer_id: [2, 9] } });
    expect(columns).toMatchObject([{ name: 'orders', values: [5, null], statuses: ['PRESENT', 'MISSING'] }]);
    await expect(features.materialize([offline.name])).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(features.online({ features: ['none:orders'], entities: {} })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
  });

  test('takes a view from its plan to online values as the example does', async () => {
    const body =
      'customer_id,event_timestamp,support_tickets_count,days_since_last_purchase\n1,2025-11-01T00:00:00Z,4,9\n';
    await put('gold', 'customers', body);
    const example = join(import.meta.dirname, '../../examples/features/online.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [example, url], { timeout: 60_000 });
    await features.deleteView('customer_support');
    expect(stdout).toMatch(/^customer_support: CREATED, 0 of 1 rows/);
    // None is left to read where the platform has brought it in by itself meanwhile.
    expect(stdout).toMatch(/^COMPLETED: [01] rows read, 1 customers/m);
    expect(stdout).toContain("support_tickets_count [ 4, null, null ] [ 'PRESENT', 'MISSING', 'MISSING' ]");
  });

  test('deletes what it applied', async () => {
    await features.deleteService(name);
    await expect(features.deleteTable(name, 'customers')).rejects.toMatchObject({ code: 'CONFLICT' });
    for (const view of [name, offline.name]) await features.deleteView(view);
    expect(await features.deleteTable(name, 'customers')).toMatchObject({ keptFiles: 0 });
    await expect(features.deleteService(name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(features.service(name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(features.deleteView(name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(features.materialization('0000000000000000')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(Array.fromAsync(features.materializationEvents('0000000000000000'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});
