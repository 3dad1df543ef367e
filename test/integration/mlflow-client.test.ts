import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MlflowClient } from '../../src/mlflow/client.ts';
import type { MlflowRequest } from '../../src/mlflow/connection.ts';
import { containsFilter, filterString, filterStrings } from '../../src/mlflow/filter.ts';
import { metricValue, parseMlflowJson } from '../../src/mlflow/json.ts';
import { type MlflowForTests, startMlflow } from '../support/mlflow-for-tests.ts';
import { quietPort } from '../support/quiet-port.ts';

let server: MlflowForTests;
let client: MlflowClient;
const requests: MlflowRequest[] = [];

beforeAll(async () => {
  server = await startMlflow();
  client = new MlflowClient({ baseUrl: () => server.url, onRequest: (request) => void requests.push(request) });
});

afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const HOSTILE_NAMES = [
  "O'Brien",
  'double " quote',
  `both ' and "`,
  "x' OR name != 'x",
  "') OR ('a' = 'a",
  'back\\slash\\',
  "ends with quote'",
  '%_ wildcards',
  '-- comment ; DROP',
  'naïve 模型 🙂',
  'new\nline',
  '`ticks`',
];

describe('filters', () => {
  it('find a name of any characters, and nothing else', async () => {
    for (const name of HOSTILE_NAMES) await client.createRegisteredModel(name);
    for (const name of HOSTILE_NAMES) {
      const { items } = await client.searchRegisteredModels({ filter: filterString('name', [name]), maxResults: 50 });
      expect(items.map((model) => model.name)).toEqual([name]);
    }
    const all = await client.searchRegisteredModels({ filter: filterString('name', HOSTILE_NAMES), maxResults: 50 });
    expect(new Set(all.items.map((model) => model.name))).toEqual(new Set(HOSTILE_NAMES));
  });

  it('find names by a part of any characters', async () => {
    for (const name of HOSTILE_NAMES) {
      const filter = containsFilter('name', name.slice(1).toUpperCase().replace('Ï', 'ï'));
      const { items } = await client.searchRegisteredModels({ filter, maxResults: 50 });
      expect(items.map((model) => model.name)).toContain(name);
    }
  });

  it('are cut so that a query string holds each', () => {
    const names = Array.from({ length: 500 }, (_, index) => `${'模'.repeat(50)}${index}`);
    const filters = filterStrings('name', names, 200);
    expect(filters.length).toBeGreaterThan(30);
    for (const filter of filters) expect(encodeURIComponent(filter).length).toBeLessThan(40_000);
    expect(filters.join(' ').split(',').length + filters.length - 1).toBe(500);
  });
});

describe('JSON of MLflow', () => {
  it('is read with what Python writes for values that are not finite', () => {
    const text = '{"a": NaN, "b": [Infinity, -Infinity, 1.5], "c": "NaN, \\"-Infinity\\""}';
    expect(parseMlflowJson(text)).toEqual({ a: 'NaN', b: ['Infinity', '-Infinity', 1.5], c: 'NaN, "-Infinity"' });
    expect(() => parseMlflowJson('{"a": None}')).toThrow(SyntaxError);
  });

  it.each([
    [1.5, 1.5],
    ['1.5', 1.5],
    ['NaN', 'NaN'],
    ['-Infinity', '-Infinity'],
    ['inf', 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
  ])('has %s as the metric value %s', (sent, read) => {
    expect(metricValue.parse(sent)).toBe(read);
  });
});

describe('the client', () => {
  it('maps what MLflow refuses to our codes, with MLflow’s own words', async () => {
    await expect(client.getRegisteredModel('nobody')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('nobody not found'),
    });
    await client.createRegisteredModel('twice');
    await expect(client.createRegisteredModel('twice')).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(client.createRegisteredModel('a/b')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(client.searchExperiments({ maxResults: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(client.searchExperiments({ maxResults: 1, pageToken: '?' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
  });

  it('says UNAVAILABLE when nothing listens, and is not healthy', async () => {
    const port = await quietPort();
    await using nobody = new MlflowClient({ baseUrl: () => `http://127.0.0.1:${port}` });
    await expect(nobody.getRun('x')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    expect(await nobody.isHealthy()).toBe(false);
    expect(await client.isHealthy()).toBe(true);
  });

  it('ends a request when its caller aborts, with the caller’s reason', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await using waiting = new MlflowClient({ baseUrl: () => `http://127.0.0.1:${port}` });
    const abort = new AbortController();
    silent.once('connection', () => abort.abort(new Error('enough')));
    await expect(waiting.getRun('x', abort.signal)).rejects.toThrow('enough');
    await waiting[Symbol.asyncDispose]();
    await new Promise((resolve) => silent.close(resolve));
  });

  it('reports every request without its query', async () => {
    requests.length = 0;
    await client.searchModelVersions({ filter: filterString('name', ['x']), maxResults: 1 });
    await client.getRun('nothing').catch(() => undefined);
    expect(requests).toEqual([
      { method: 'GET', path: '/api/2.0/mlflow/model-versions/search', status: 200, seconds: expect.any(Number) },
      { method: 'GET', path: '/api/2.0/mlflow/runs/get', status: 404, seconds: expect.any(Number) },
    ]);
  });
});
