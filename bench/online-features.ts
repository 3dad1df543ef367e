import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { databaseUrl } from '../src/embedded/postgres-databases.ts';
import { socketFolder } from '../src/embedded/postgres-socket.ts';
import { type Asgard, startAsgard } from './support/asgard.ts';
import type { Bench, Claim, Measured } from './support/bench.ts';
import { feastServe } from './support/feast.ts';
import { type Figure, percentile } from './support/figures.ts';
import { latencies } from './support/load.ts';
import { memoryOf, totalMib } from './support/memory.ts';

const ENTITIES = [1, 10, 100] as const;
const VIEW = 'customer_features';
const FEATURES = ['total_purchases', 'avg_purchase_value', 'segment'];
/** Requests whose answers are compared, for each number of entities. */
const COMPARED = 20;

/** Features of entities over HTTP, beside `feast serve` on the same online store. */
export const onlineFeatures: Claim = {
  name: 'online-features',
  title: 'Online features',
  async measure(bench): Promise<Measured> {
    const customers = bench.size(500, 20_000);
    // Only what is asked for: a run in the middle of a load is no figure of either side.
    const asgard = await startAsgard(bench, { ASGARD_MATERIALIZE_EVERY: '0' });
    await fill(asgard, customers);
    const peer = await startPeer(bench, asgard);
    const ours = { url: asgard.url, path: '/feast/online' };
    const theirs = { url: peer.url, path: '/get-online-features' };
    for (const count of ENTITIES) await compare(ours, theirs, count, customers);

    const subjectsOf = (count: number) =>
      [ours, theirs].map(({ url, path }) => {
        const next = () => ({ path, body: bodyOf(count, customers), expects: '"PRESENT"' });
        return { url, next };
      });
    const { signal } = bench;
    // That go to one server before the other's turn: so many that the first ones, which find the processors' caches filled by others, are few.
    const requests = bench.size(100, 2500);
    const [blocks, warmUp] = [bench.size(1, 4), bench.size(1, 2)];
    // What serves for days is measured: Node.js compiles for its first thousands of requests, beside what is asked.
    for (const count of ENTITIES) {
      bench.say(`warming up with ${count} entities`);
      await latencies(subjectsOf(count), { blocks: 0, warmUp, requests, signal });
    }

    const figures: Figure[] = [];
    for (const count of ENTITIES) {
      bench.say(`${count} entities, in turn from Asgard and from feast serve`);
      const [our = [], their = []] = await latencies(subjectsOf(count), {
        blocks,
        warmUp: 0,
        requests,
        signal,
      });
      for (const percent of [50, 99]) {
        figures.push({
          what: `latency p${percent}, ${count} ${count === 1 ? 'entity' : 'entities'}`,
          unit: 'ms',
          better: 'lower',
          ours: percentile(our, percent),
          peer: { name: 'feast serve', value: percentile(their, percent) },
        });
      }
    }
    figures.push({
      what: 'memory of the server',
      unit: 'MiB',
      better: 'lower',
      ours: totalMib((await memoryOf(asgard.pid)).filter(({ pid }) => pid === asgard.pid)),
      peer: { name: 'feast serve', value: totalMib(await memoryOf(peer.pid)) },
    });
    return {
      figures,
      notes: [
        `${FEATURES.length} features of customers chosen anew for each request among ${customers.toLocaleString('en')}. One client, one request at a time: ${requests.toLocaleString('en')} to Asgard, ${requests.toLocaleString('en')} to \`feast serve\`, and so on, ${(blocks * requests).toLocaleString('en')} to each after ${(warmUp * requests * ENTITIES.length).toLocaleString('en')} of all sizes that do not count. The answers were compared first and were the same.`,
        'Both read the same tables of the platform’s PostgreSQL by its UNIX socket: `feast serve` with its defaults (one worker) and without a line logged for each request. Asgard’s memory is that of the whole platform’s process.',
      ],
    };
  },
};

/** `feast serve` on the platform's embedded PostgreSQL, by the same socket. */
async function startPeer(bench: Bench, { home }: Asgard): Promise<{ url: string; pid: number }> {
  const cluster = join(home, 'postgres');
  const { port, password }: { port: number; password: string } = JSON.parse(await readFile(`${cluster}.json`, 'utf8'));
  const url = databaseUrl(port, password, 'features');
  const settings = { databaseUrl: url, warehouse: join(home, 'warehouse'), files: {}, readerFiles: {}, catalog: {} };
  return await feastServe(bench, settings, socketFolder(cluster) ?? '127.0.0.1');
}

/** A table of customers, its feature view, and the view's values in the online store. */
async function fill(asgard: Asgard, customers: number): Promise<void> {
  const time = new Date(Date.now() - 3_600_000).toISOString();
  const rows = Array.from(
    { length: customers },
    (_, id) => `${id},${time},${id % 97},${(id * 7) % 1000}.25,segment ${id % 5}`,
  );
  const csv = ['customer_id,event_timestamp,total_purchases,avg_purchase_value,segment', ...rows].join('\n');
  await send(asgard.url, '/iceberg/tables/gold/customers', 'PUT', 'text/csv', csv);
  const dtypes = ['int64', 'float64', 'string'];
  const view = {
    name: VIEW,
    entities: ['customer_id'],
    features: FEATURES.map((name, index) => ({ name, dtype: dtypes[index] })),
    source: { table_name: 'customers', catalog: 'iceberg', schema: 'gold' },
    ttl_days: 365,
    online: true,
  };
  await send(asgard.url, '/feast/features', 'POST', 'application/json', JSON.stringify(view));
  const text = await send(
    asgard.url,
    '/feast/materialize',
    'POST',
    'application/json',
    JSON.stringify({ feature_views: [VIEW] }),
  );
  const { materializations }: { materializations: { materialization_id: string }[] } = JSON.parse(text);
  for (;;) {
    const answer = await send(asgard.url, `/feast/materializations/${materializations[0]?.materialization_id}`, 'GET');
    const { status, error }: { status: string; error: string | null } = JSON.parse(answer);
    if (status === 'completed') return;
    if (status === 'failed') throw new Error(`the materialization failed: ${error}`);
    await delay(50);
  }
}

async function send(url: string, path: string, method: string, type?: string, body?: string): Promise<string> {
  const response = await fetch(url + path, {
    method,
    ...(type && { headers: { 'content-type': type } }),
    ...(body && { body }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`);
  return text;
}

function bodyOf(count: number, customers: number): string {
  const ids = Array.from({ length: count }, () => Math.floor(Math.random() * customers));
  return JSON.stringify({ features: FEATURES.map((name) => `${VIEW}:${name}`), entities: { customer_id: ids } });
}

interface Endpoint {
  readonly url: string;
  readonly path: string;
}

interface Answer {
  readonly metadata: { readonly feature_names: readonly string[] };
  readonly results: readonly {
    readonly values: unknown;
    readonly statuses: unknown;
    readonly event_timestamps: unknown;
  }[];
}

/** A server that answers something else would be no peer. */
async function compare(ours: Endpoint, theirs: Endpoint, count: number, customers: number): Promise<void> {
  for (let time = 0; time < COMPARED; time += 1) {
    const body = bodyOf(count, customers);
    const answers = await Promise.all(
      [ours, theirs].map(async ({ url, path }) =>
        columnsOf(JSON.parse(await send(url, path, 'POST', 'application/json', body))),
      ),
    );
    if (isDeepStrictEqual(answers[0], answers[1])) continue;
    throw new Error(`the answers to ${body} differ:\n${answers.map((answer) => JSON.stringify(answer)).join('\n')}`);
  }
}

/** By their names, as each server has an order of its own. */
function columnsOf({ metadata, results }: Answer): Record<string, unknown> {
  const columns = results.map(({ values, statuses, event_timestamps }) => ({ values, statuses, event_timestamps }));
  return Object.fromEntries(metadata.feature_names.map((name, index) => [name, columns[index]]));
}
