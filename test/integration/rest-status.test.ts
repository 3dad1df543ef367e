import { once } from 'node:events';
import { createServer } from 'node:http';
import { type FastifyInstance, fastify } from 'fastify';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../../src/database/client.ts';
import { ExperimentService } from '../../src/experiments/service.ts';
import { JobService } from '../../src/jobs/service.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelService } from '../../src/models/service.ts';
import { healthRoutes } from '../../src/rest/routes/health.ts';
import { PlatformStatusService } from '../../src/status/platform-status.ts';
import { Readiness } from '../../src/status/readiness.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { FEATURES_AWAY } from '../support/features-for-tests.ts';
import { quietPort } from '../support/quiet-port.ts';

/** Answers its health check, and nothing else for as long as it runs. A real one is hard to overload for so long. */
const fakeOverloadedMlflow = createServer((request, response) => {
  if (request.url === '/health') response.end('OK');
});

let databases: DatabasesForTests;
let database: TestDatabase;
let mlflowUrl = '';
let client: MlflowClient;
let readiness: Readiness;
let platform: PlatformStatusService;
let api: FastifyInstance;
let paths: string[] = [];

beforeAll(async () => {
  databases = await DatabasesForTests.start();
  database = await databases.create();
  const port = await quietPort();
  fakeOverloadedMlflow.listen(port, '127.0.0.1');
  await once(fakeOverloadedMlflow, 'listening');
  client = new MlflowClient({ baseUrl: () => mlflowUrl, onRequest: ({ path }) => void paths.push(path) });
  api = fastify();
  await api.register(healthRoutes({ readiness: () => platform.readiness() }));
});
afterAll(async () => {
  await api?.close();
  await client?.[Symbol.asyncDispose]();
  fakeOverloadedMlflow.close();
  fakeOverloadedMlflow.closeAllConnections();
  await database?.[Symbol.asyncDispose]();
  await databases?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  const address = fakeOverloadedMlflow.address();
  if (address === null || typeof address === 'string') throw new Error('it listens on no port');
  mlflowUrl = `http://127.0.0.1:${address.port}`;
  readiness = new Readiness();
  platform = new PlatformStatusService({
    mlflowTrackingUri: mlflowUrl,
    mlflow: client,
    experiments: new ExperimentService(client),
    models: new ModelService(client),
    jobs: new JobService(database.client),
    features: FEATURES_AWAY,
    readiness,
    isolation: 'namespaces',
  });
  paths = [];
});

test('the status is answered when MLflow takes requests and does not answer them', async () => {
  await expect(platform.current()).resolves.toMatchObject({
    mlflowAvailable: false,
    registeredModels: 0,
    ready: false,
    notReady: ['mlflow: does not answer'],
  });
});

test('/readyz asks MLflow whether it is up and nothing more', async () => {
  const answer = await api.inject('/readyz');
  expect(answer.statusCode).toBe(200);
  expect(answer.json()).toEqual({ ready: true, not_ready: [] });
  expect(paths).toEqual(['/health']);
});

test('/readyz names each part that is not ready once, in one short line', async () => {
  mlflowUrl = `http://127.0.0.1:${await quietPort()}`;
  expect((await api.inject('/readyz')).json()).toEqual({ ready: false, not_ready: ['mlflow: does not answer'] });
  readiness.set('base environment', 'is being made');
  readiness.set('mlflow', `did not start: the server ended; its log ends with:\nTraceback\n  File "x"\n`);
  const answer = await api.inject('/readyz');
  expect(answer.statusCode).toBe(503);
  expect(answer.json().not_ready).toEqual([
    'base environment: is being made',
    'mlflow: did not start: the server ended; its log ends with: …',
  ]);
  readiness.set('mlflow', 'x'.repeat(5000));
  expect((await api.inject('/readyz')).json().not_ready[1].length).toBeLessThan(250);
});

test('/readyz tells whether the database answers', async () => {
  await using absent = createDatabase(`postgresql://me@127.0.0.1:${await quietPort()}/asgard`, { poolSize: 1 });
  const jobs = new JobService(absent.client);
  platform = new PlatformStatusService({
    mlflowTrackingUri: mlflowUrl,
    mlflow: client,
    experiments: new ExperimentService(client),
    models: new ModelService(client),
    jobs,
    features: FEATURES_AWAY,
    readiness,
    isolation: 'namespaces',
  });
  expect((await api.inject('/readyz')).json()).toEqual({ ready: false, not_ready: ['database: does not answer'] });
});
