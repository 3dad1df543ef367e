import { createServer } from 'node:net';
import { once } from 'node:events';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ExperimentService } from '../../src/experiments/service.ts';
import { buildHttpServer } from '../../src/http/server.ts';
import { JobService } from '../../src/jobs/service.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelService } from '../../src/models/service.ts';
import { presentStatus } from '../../src/rest/present.ts';
import { healthRoutes } from '../../src/rest/routes/health.ts';
import { PlatformStatusService } from '../../src/status/platform-status.ts';
import { Readiness } from '../../src/status/readiness.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

let mlflow: MlflowForTests;
let databases: DatabasesForTests;
let database: TestDatabase;
let way: TcpProxy;
let paths: string[] = [];
let client: MlflowClient;
let readiness: Readiness;
let status: PlatformStatusService;

beforeAll(async () => {
  [mlflow, databases] = await Promise.all([startMlflow(), DatabasesForTests.start()]);
  database = await databases.create();
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  await Promise.all([mlflow?.[Symbol.asyncDispose](), databases?.[Symbol.asyncDispose]()]);
});
