import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildHttpServer, listen } from '../../src/http/server.ts';
import type { MlflowRequest } from '../../src/mlflow/connection.ts';
import { mlflowGateway } from '../../src/mlflow/gateway.ts';
import { createLogger } from '../../src/platform/logger.ts';
import type { Transfer } from '../../src/platform/transfer.ts';
import { CallNotesForTests } from '../support/call-notes.ts';
import { poll } from '../support/poll.ts';

const FILE = '/api/2.0/mlflow-artifacts/artifacts/1/model/model.pkl';
const CONTENT = Buffer.alloc(300_000, 'x');

let stack: AsyncDisposableStack;
let transfers: Transfer[];
let requests: MlflowRequest[];
let url: string;
/** What the store behind the gateway does with a request that it has taken whole. */
let answer: (response: ServerResponse) => void;

/** A store that fails as a real one does only now and then. */
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  [transfers, requests] = [[], []];
  answer = (response) => response.end(CONTENT);
  const store = createServer(async (request, response) => {
    for await (const _chunk of request);
    answer(response);
  }).listen(0, '127.0.0.1');
  await once(store, 'listening');
  stack.defer(() => {
    store.closeAllConnections();
    store.close();
  });
  const upstream = `http://127.0.0.1:${(store.address() as AddressInfo).port}`; // a server that listens on TCP has one
  const log = createLogger('silent', false);
  const options = {
    upstream: () => upstream,
    everything: false,
    observer: { authenticate: async () => null, record: async () => {} },
    notes: new CallNotesForTests(),
    log,
    onRequest: (request: MlflowRequest) => void requests.push(request),
    onTransfer: (transfer: Transfer) => void transfers.push(transfer),
  };
  const app = await buildHttpServer({
    log,
    routes: [async (server) => void (await server.register(mlflowGateway, options))],
  });
  stack.defer(() => app.close());
  url = `http://127.0.0.1:${await listen(app, '127.0.0.1', 0)}`;
});
afterEach(() => stack.disposeAsync());

const upload = () => fetch(url + FILE, { method: 'PUT', body: CONTENT });
const told = () =>
  poll(
    () => transfers,
    (list) => list.length > 0,
  );

test('an upload is told once the store has taken it, with all its bytes', async () => {
  expect((await upload()).status).toBe(200);
  expect(await told()).toEqual([
    { direction: 'upload', sizeBytes: CONTENT.length, seconds: expect.any(Number), isWhole: true },
  ]);
  expect(transfers[0]?.seconds).toBeGreaterThan(0);
  // How long it took is the artifact's doing, not MLflow's.
  expect(requests).toEqual([]);
});

test('an upload that the store refuses, or leaves, is told as one that did not arrive', async () => {
  answer = (response) => response.writeHead(500).end();
  expect((await upload()).status).toBe(500);
  answer = (response) => response.destroy();
  expect((await upload()).status).toBe(503);
  await expect
    .poll(() => transfers.map(({ direction, isWhole }) => [direction, isWhole]))
    .toEqual([
      ['upload', false],
      ['upload', false],
    ]);
});

test('a download is told with all its bytes, and is what the store gave', async () => {
  const response = await fetch(url + FILE);
  expect(Buffer.from(await response.arrayBuffer()).equals(CONTENT)).toBe(true);
  expect(await told()).toEqual([
    { direction: 'download', sizeBytes: CONTENT.length, seconds: expect.any(Number), isWhole: true },
  ]);
  answer = (refused) => refused.writeHead(404).end('{}');
  expect((await fetch(url + FILE)).status).toBe(404);
  expect(transfers).toHaveLength(1);
});

test('a download that the store breaks off is broken off for the client too, and told as one that did not arrive', async () => {
  answer = (response) => {
    response.writeHead(200, { 'content-length': CONTENT.length });
    response.write(CONTENT.subarray(0, 100_000), () => response.destroy());
  };
  await expect(fetch(url + FILE).then((response) => response.arrayBuffer())).rejects.toThrow();
  expect(await told()).toMatchObject([{ direction: 'download', isWhole: false }]);
});

test('a client that leaves a download ends it at the store too', async () => {
  const left = Promise.withResolvers<void>();
  answer = (response) => {
    response.once('close', () => left.resolve());
    response.writeHead(200).write(CONTENT);
  };
  const leaving = new AbortController();
  const response = await fetch(url + FILE, { signal: leaving.signal });
  await response.body?.getReader().read();
  leaving.abort();
  await left.promise;
  expect(await told()).toMatchObject([{ direction: 'download', isWhole: false }]);
});

test('other requests are told with how MLflow answered, and no artifact', async () => {
  answer = (response) => response.writeHead(404).end('{}');
  await fetch(`${url}/api/2.0/mlflow/runs/get?run_id=secret`);
  answer = (response) => response.destroy();
  await fetch(`${url}/api/2.0/mlflow/runs/get`);
  await expect
    .poll(() => requests)
    .toEqual([
      { method: 'GET', path: '/api/2.0/mlflow/runs/get', status: 404, seconds: expect.any(Number) },
      { method: 'GET', path: '/api/2.0/mlflow/runs/get', status: 0, seconds: expect.any(Number) },
    ]);
  expect(transfers).toEqual([]);
});
