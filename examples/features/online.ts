import { AsgardClient } from '../../src/client/client.ts';

/*
 * Makes an online feature view of the table `gold.customers`, which `npm run demo` writes, and reads the newest features of
 * some customers: `npx node examples/features/online.ts http://localhost:8000`.
 */
const [url = 'http://localhost:8000'] = process.argv.slice(2);
await using client = new AsgardClient({ url });
const { features } = client;

const view = {
  name: 'customer_support',
  entities: ['customer_id'],
  features: [
    { name: 'support_tickets_count', dtype: 'INT64' },
    { name: 'days_since_last_purchase', dtype: 'INT32' },
  ],
  source: { schema: 'gold', tableName: 'customers' },
  online: true,
} as const;

// What applying it would do, and what its table is like. Of a mistake the error names the column and what there is instead.
const { action, sample } = await features.planView(view);
console.log(`${view.name}: ${action}, ${sample.repeatedKeys} of ${sample.rowCount} rows have the keys of another`);
await features.applyView(view);

for (const { id } of await features.materialize([view.name])) {
  for await (const { status, rowsRead, entities, error } of features.materializationEvents(id)) {
    console.log(`${status}: ${rowsRead} rows read, ${entities} customers`, error ?? '');
  }
}

// A value that is not there is null, and its status says why; ages are in seconds.
const online = await features.online({
  features: view.features.map(({ name }) => `${view.name}:${name}`),
  entities: { customer_id: [1, 2, 999_999] },
});
for (const { name, values, statuses, agesSeconds } of online.features) console.log(name, values, statuses, agesSeconds);
