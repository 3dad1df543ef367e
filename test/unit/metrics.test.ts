import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { PlatformMetrics } from '../../src/metrics/platform-metrics.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import { Exposition } from '../support/exposition.ts';

const make = (jobCounts = async () => ({ queued: 3, running: 1 })) =>
  new PlatformMetrics({
    workerSlots: 4,
    runningHere: () => 1,
    jobCounts,
    servedModels: () => [
      { memoryBytes: 100, processes: 1, waiting: 0 },
      { memoryBytes: 50, processes: 2, waiting: 7 },
    ],
    subscribers: () => ({ job: 5, allJobs: 1 }),
  });
const shown = async (metrics: PlatformMetrics) => Exposition.parse(await metrics.registry.metrics());

const HOSTILE = [
  'quote" and more',
  'a line\nmlops_training_jobs_total{status="completed"} 1e9',
  'return\rfeed',
  'back\\slash\\',
  '{curly="braces"} 1 # HELP',
  '',
  'half \ud83d of a character',
  'line\u2028paragraph\u2029next\u0085',
  'nul\0',
  ':other',
  '__proto__',
  'constructor',
  '✅ ünï',
  'x'.repeat(10_000),
];

test('every series with known labels is there from the start, at 0', async () => {
  const now = await shown(make());
  for (const status of ['completed', 'failed', 'cancelled', 'timed_out', 'lost']) {
    expect(now.value('mlops_training_jobs_total', { status })).toBe(0);
    expect(now.value('mlops_training_duration_seconds_count', { status })).toBe(0);
  }
  for (const direction of ['upload', 'download'])
    expect(now.value('mlops_artifact_bytes_total', { direction })).toBe(0);
  expect(now.value('mlops_mlflow_response_seconds_count', { resource: 'runs', status: 'error' })).toBe(0);
  expect(now.value('mlops_graphql_operations_total', { type: 'mutation', status: 'error' })).toBe(0);
  expect(now.value('mlops_inference_requests_total', { model: ':unknown', status: 'client_error' })).toBe(0);
  expect(now.value('mlops_worker_slots')).toBe(4);
  expect(now.value('mlops_training_jobs_active', { state: 'queued' })).toBe(3);
  expect(now.value('mlops_models_loaded')).toBe(2);
  expect(now.value('mlops_models_memory_bytes')).toBe(150);
  expect(now.value('mlops_models_processes')).toBe(3);
  expect(now.value('mlops_inference_waiting_requests')).toBe(7);
  expect(now.value('mlops_event_subscribers', { feed: 'job' })).toBe(5);
  expect(now.value('process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(now.value('process_resident_memory_bytes')).toBeGreaterThan(0);
});

test('names and units are as Prometheus asks: seconds and bytes, _total for counters', async () => {
  const { types } = await shown(make());
  const own = [...types].filter(([name]) => name.startsWith('mlops_'));
  expect(own.length).toBeGreaterThan(10);
  for (const [name, type] of own) {
    if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    expect(name).not.toMatch(/millis|_ms|_kb/);
  }
});

test('names of models, however hostile, neither break the format nor make series without end', async () => {
  const { inference, registry } = make();
  for (const modelName of HOSTILE) inference.predicted({ modelName, seconds: 0.02 });
  const some = await Exposition.parse(await registry.metrics());
  const models = some.labelValues('mlops_inference_requests_total', 'model');
  expect(models).toContain('quote" and more');
  expect(models).toContain('back\\slash\\');
  expect(models).toContain('✅ ünï');
  for (const model of models) expect(model).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{0,100}$/u);
  expect(some.value('mlops_training_jobs_total', { status: 'completed' })).toBe(0);

  for (let count = 0; count < 5000; count += 1) inference.predicted({ modelName: `made up ${count}`, seconds: 0.02 });
  const all = await Exposition.parse(await registry.metrics());
  expect(all.labelValues('mlops_inference_requests_total', 'model').length).toBeLessThanOrEqual(52);
  const requests = all.samples.filter(({ name }) => name === 'mlops_inference_requests_total');
  expect(requests.reduce((sum, { value }) => sum + value, 0)).toBe(HOSTILE.length + 5000);
});

test('a prediction counts by whose fault its failure is, and only an answer has a latency', async () => {
  const { inference, registry } = make();
  const failed = (error: unknown, modelName: string | null = 'churn') =>
    inference.predicted({ modelName, error, seconds: 1 });
  inference.predicted({ modelName: 'churn', seconds: 0.02 });
  failed(new AsgardError('INVALID_INPUT', 'x'));
  failed(new AsgardError('TIMEOUT', 'x'));
  failed(new AsgardError('UNAVAILABLE', 'x'));
  failed(new TypeError('a fault of ours'));
  failed(new AsgardError('NOT_FOUND', 'x'), null);
  const now = await Exposition.parse(await registry.metrics());
  const requests = (status: string, model = 'churn') => now.value('mlops_inference_requests_total', { model, status });
  expect([requests('ok'), requests('client_error'), requests('error')]).toEqual([1, 1, 3]);
  expect(requests('client_error', ':unknown')).toBe(1);
  expect(now.value('mlops_inference_latency_seconds_count', { model: 'churn' })).toBe(1);
});

test('while the database does not answer, what it knows is left out and the rest is told', async () => {
  const now = await shown(make(() => Promise.reject(new Error('the database is away'))));
  expect(now.value('mlops_training_jobs_active', { state: 'queued' })).toBeUndefined();
  expect(now.value('mlops_worker_slots')).toBe(4);
  const late = await shown(make(() => new Promise(() => {})));
  expect(late.value('mlops_training_jobs_active', { state: 'queued' })).toBeUndefined();
});

test('requests are told by the template of their route and a method that is known', async () => {
  const metrics = make();
  await using app = fastify();
  metrics.http(app);
  app.get('/jobs/:id', async () => 'ok');
  app.get('/fault', async () => {
    throw new Error('a fault');
  });
  for (const url of ['/jobs/1', '/jobs/2?x=y', '/nowhere/"\n', '/nowhere/2', '/fault']) await app.inject({ url });
  await app.inject({ url: '/nowhere', method: 'DELETE' });
  const now = await shown(metrics);
  const count = (method: string, route: string, status: string) =>
    now.value('mlops_http_request_duration_seconds_count', { method, route, status });
  expect(count('GET', '/jobs/:id', '2xx')).toBe(2);
  expect(count('GET', '/jobs/:id', '5xx')).toBe(0);
  expect(count('GET', '/fault', '5xx')).toBe(1);
  expect(count('GET', 'unknown', '4xx')).toBe(2);
  expect(count('DELETE', 'unknown', '4xx')).toBe(1);
});

test('paths of MLflow that clients make up share one series', async () => {
  const { mlflow, registry } = make();
  const paths = [
    '/api/2.0/mlflow/runs/create',
    '/ajax-api/2.0/mlflow/runs/search',
    '/api/2.0/mlflow/constructor/x',
    '/"\n',
  ];
  for (const path of paths) mlflow.responded({ method: 'GET', path, status: 200, seconds: 0.01 });
  mlflow.responded({ method: 'GET', path: '/health', status: 0, seconds: 3 });
  const now = await Exposition.parse(await registry.metrics());
  const count = (resource: string, status: string) =>
    now.value('mlops_mlflow_response_seconds_count', { resource, status });
  expect([count('runs', 'ok'), count('other', 'ok'), count('health', 'error')]).toEqual([2, 2, 1]);
});
