import { once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import { getIntrospectionQuery } from 'graphql';
import { createClient } from 'graphql-ws';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Access } from '../../src/auth/access.ts';
import { createGraphqlServer, type GraphqlServerOptions } from '../../src/http/graphql.ts';
import { type AccessOptions, buildHttpServer, listen } from '../../src/http/server.ts';
import { type GraphqlForTests, post, startGraphql, until } from '../support/graphql-for-tests.ts';
import { rawRequest } from '../support/raw-request.ts';
import { overSocket, type Payload } from '../support/subscriptions.ts';

const KEY = 'correct-horse-battery';

let api: GraphqlForTests;
beforeAll(async () => {
  api = await startGraphql();
});
afterAll(() => api?.[Symbol.asyncDispose]());

/** A server of its own over the same services. */
async function serve(
  access: Partial<AccessOptions> = {},
  options: Partial<GraphqlServerOptions> = {},
): Promise<{ url: string; log: Record<string, unknown>[] } & AsyncDisposable> {
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'debug', base: null }, { write: (line) => void log.push(JSON.parse(line)) });
  const app: FastifyInstance = await buildHttpServer({
    log: logger,
    graphql: createGraphqlServer({ services: api.services, log: logger, ...options }),
    access: { access: new Access(), allowedOrigins: [], requestsPerMinute: 0, trustedProxies: [], ...access },
  });
  const url = `http://127.0.0.1:${await listen(app, '127.0.0.1', 0)}`;
  return { url, log, [Symbol.asyncDispose]: () => app.close() };
}

/** The first payload of an operation over graphql-ws, as over HTTP. */
async function first(url: string, query: string, variables: Record<string, unknown> = {}): Promise<Payload> {
  for await (const payload of overSocket(url, query, variables)) return payload;
  throw new Error('there was none');
}

const nested = (levels: number): string =>
  levels === 0 ? 'id' : `id runs(first: 1) { edges { node { job { ${nested(levels - 1)} } } } }`;
const times = (count: number, text: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

describe('an operation', () => {
  const wide = '{ edges { node { id runs(first: 100) { edges { node { id metrics { key value } } } } } } }';
  const fragments = times(12, (n) => `fragment f${n} on TrainingJob { ...f${n + 1} ...f${n + 1} ...f${n + 1} }`);

  it.each([
    ['too deep', `{ trainingJobs(first: 1) { edges { node { ${nested(5)} } } } }`, {}, 'depth limit of 20'],
    ['of too many aliases', `{ ${times(60, (n) => `a${n}: trainingJob(id: "x") { id }`)} }`, {}, 'Aliases limit of 50'],
    ['of too many directives', `{ __typename ${times(60, () => '@include(if: true)')} }`, {}, 'irectives limit of 50'],
    ['too long', `{ ${times(6000, () => 'a')} }`, {}, 'Token limit of 5000'],
    ['of lists in lists', `{ trainingJobs(first: 100) ${wide} }`, {}, 'cost limit of 50000'],
    [
      'of lists whose length a variable gives',
      `query ($n: Int) { trainingJobs(first: $n) ${wide} }`,
      { n: 100 },
      'cost limit of 50000',
    ],
    [
      'of fragments that multiply',
      `{ trainingJobs { edges { node { ...f0 } } } } ${fragments} fragment f12 on TrainingJob { id }`,
      {},
      'maximum allowed number of nodes',
    ],
  ])('%s is refused before it runs, over HTTP and over WebSockets', async (_name, query, variables, message) => {
    api.databaseQueries.length = 0;
    const { body } = await post(api.url, query, variables);
    const expected = {
      message: expect.stringContaining(message),
      extensions: { code: 'TOO_COMPLEX', isRetryable: false, requestId: expect.any(String) },
    };
    expect(body.errors).toContainEqual(expect.objectContaining(expected));
    expect(body.data ?? null).toBeNull();
    expect((await first(api.url, query, variables)).errors).toContainEqual(expect.objectContaining(expected));
    expect(api.databaseQueries).toEqual([]);
  });

  it.each([
    ['GraphiQL’s introspection', getIntrospectionQuery({ specifiedByUrl: true, inputValueDeprecation: true })],
    ['a deep and honest query', `{ trainingJobs(first: 5) { edges { node { ${nested(3)} } } } }`],
    [
      'a long list',
      '{ trainingJobs(first: 100) { edges { cursor node { id status runs { edges { node { id } } } } } } }',
    ],
  ])('such as %s is answered', async (_name, query) => {
    const { body } = await post(api.url, query);
    expect(body.errors).toBeUndefined();
    expect((await first(api.url, query)).errors).toBeUndefined();
  });

  it('with several operations or none of its name is told so as ever', async () => {
    const query = 'query A { __typename } query B { __typename }';
    expect((await post(api.url, query)).body.errors?.[0]?.message).toMatch(/operation/i);
  });

  it('with variables that do not fit is told of each', async () => {
    const query =
      'query ($a: Int, $b: Int) { trainingJobs(first: $a) { edges { node { runs(first: $b) { edges { cursor } } } } } }';
    const { body } = await post(api.url, query, { a: 'x', b: 'y' });
    expect(body.errors?.map(({ message }) => message)).toEqual([
      expect.stringContaining('"$a"'),
      expect.stringContaining('"$b"'),
    ]);
  });

  it('in a batch with others is refused', async () => {
    const answer = await rawRequest(`${api.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([{ query: '{ __typename }' }, { query: '{ __typename }' }]),
    });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text).errors).toEqual([
      {
        message: expect.stringMatching(/batching/i),
        extensions: expect.objectContaining({ requestId: answer.headers['x-request-id'] }),
      },
    ]);
  });

  it('that is refused is in the log, with the id of the answer and nothing of what was sent', async () => {
    const { headers, body } = await post(api.url, '{ trainingJobs(first: "hidden") { edges { cursor } } }');
    const id = headers.get('x-request-id');
    expect(body.errors?.[0]?.extensions).toMatchObject({ requestId: id });
    await until(() => api.log.some(({ requestId, msg }) => requestId === id && msg === 'graphql.refused'));
    expect(JSON.stringify(api.log)).not.toContain('hidden');
  });
});

describe('introspection and GraphiQL', () => {
  it('can be turned off', async () => {
    await using server = await serve({}, { hasGraphiql: false, hasIntrospection: false });
    for (const query of ['{ __schema { types { name } } }', '{ __type(name: "Query") { name } }']) {
      expect((await post(server.url, query)).body.errors?.[0]?.message).toContain('introspection');
      expect(JSON.stringify(await first(server.url, query))).toContain('introspection');
    }
    const { body } = await post(server.url, '{ trainingJob(id: "x") { statu } __typename }');
    expect(body.errors?.[0]?.message).not.toContain('status');
    expect((await post(server.url, '{ __typename }')).body.data).toEqual({ __typename: 'Query' });
    const page = await rawRequest(`${server.url}/graphql`, { headers: { accept: 'text/html' } });
    expect(page.text).not.toContain('GraphiQL');
    expect(page.status).toBe(406);
  });
});

describe('a WebSocket', () => {
  const socketOf = (url: string) => new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');

  it('that says nothing is closed', async () => {
    const [code] = await once(socketOf(api.url), 'close');
    expect(code).toBe(4408);
  });

  it('runs 200 operations at once and no more', async () => {
    const client = createClient({
      url: `${api.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      lazy: false,
    });
    const query = 'subscription { jobStatusChanges { jobId } }';
    const refused = Promise.withResolvers<unknown>();
    for (let count = 0; count <= 200; count += 1) {
      client.subscribe({ query }, { next: () => {}, complete: () => {}, error: refused.resolve });
    }
    expect(await refused.promise).toMatchObject([{ extensions: { code: 'RATE_LIMITED', isRetryable: true } }]);
    expect(api.open.changes).toBeLessThanOrEqual(200);
    await client.dispose();
    await until(() => api.open.changes === 0);
  });

  it('counts each operation as a request of its client', async () => {
    await using server = await serve({ requestsPerMinute: 5 });
    const client = createClient({
      url: `${server.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      lazy: false,
    });
    const ask = () => client.iterate({ query: '{ __typename }' }).next();
    for (let count = 0; count < 4; count += 1) expect((await ask()).value).toEqual({ data: { __typename: 'Query' } });
    await expect(ask()).rejects.toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
    await client.dispose();
  });
});

describe('a client', () => {
  const from = (address: string) => ({ 'x-forwarded-for': address });

  it('is told apart by what a trusted proxy says, and by nobody else', async () => {
    await using trusting = await serve({ requestsPerMinute: 2, trustedProxies: ['127.0.0.0/8'] });
    await using wary = await serve({ requestsPerMinute: 2 });
    const statuses = async (url: string) => {
      const found: number[] = [];
      for (const address of ['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.2']) {
        found.push((await rawRequest(`${url}/graphql?query={__typename}`, { headers: from(address) })).status);
      }
      return found;
    };
    expect(await statuses(trusting.url)).toEqual([200, 200, 429, 200]);
    expect(await statuses(wary.url)).toEqual([200, 200, 429, 429]);
  });

  it('that guesses keys is not told the right one, while who has signed in goes on', async () => {
    const access = new Access(KEY);
    await using server = await serve({ access });
    const ask = (headers: Record<string, string>) =>
      rawRequest(`${server.url}/graphql?query={__typename}`, { headers });
    const cookie = `asgard_session=${await access.signIn(KEY)}`;
    for (let guess = 0; guess < 10; guess += 1) {
      expect((await ask({ authorization: `Bearer guess-${guess}` })).status).toBe(401);
    }
    for (const key of ['guess-11', KEY]) {
      const answer = await ask({ authorization: `Bearer ${key}` });
      expect(answer.status).toBe(429);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      const form = await rawRequest(`${server.url}/sign-in`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ key }).toString(),
      });
      expect(form.status).toBe(429);
    }
    expect((await ask({ cookie })).status).toBe(200);
  });
});

describe('an allowed origin', () => {
  const origin = 'https://app.example';

  it('may call from its pages with the key, and open WebSockets; others may not', async () => {
    await using server = await serve({ access: new Access(KEY), allowedOrigins: [origin] });
    const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    const asked = await rawRequest(`${server.url}/graphql`, { method: 'OPTIONS', headers: { origin, ...preflight } });
    expect(asked.status).toBe(204);
    expect(asked.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-headers': 'authorization',
      'access-control-allow-methods': expect.stringContaining('POST'),
      vary: expect.stringContaining('Origin'),
    });
    for (const [authorization, status] of [
      [`Bearer ${KEY}`, 200],
      ['Bearer x', 401],
    ] as const) {
      const answer = await rawRequest(`${server.url}/graphql?query={__typename}`, {
        headers: { origin, authorization },
      });
      expect(answer.status).toBe(status);
      expect(answer.headers['access-control-allow-origin']).toBe(origin);
      expect(answer.headers['access-control-expose-headers']).toContain('x-request-id');
    }
    const other = { origin: 'https://evil.example', authorization: `Bearer ${KEY}` };
    for (const method of ['OPTIONS', 'POST', 'GET']) {
      const answer = await rawRequest(`${server.url}/graphql`, { method, headers: { ...other, ...preflight } });
      expect(answer.status).toBe(403);
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    }
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { origin });
    await once(socket, 'open');
    socket.terminate();
  });
});

it('a job’s token opens nothing but MLflow’s API, also where no key is set', async () => {
  const headers = { authorization: 'Bearer asgard-job-x' };
  const answer = await rawRequest(`${api.url}/graphql?query={__typename}`, { headers });
  expect(answer.status).toBe(403);
  expect(JSON.parse(answer.text).errors[0].extensions).toMatchObject({ code: 'FORBIDDEN' });
  expect((await rawRequest(`${api.url}/mlops/status`, { headers })).status).toBe(403);
  const socket = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { headers });
  const [error] = await once(socket, 'error');
  expect(error.message).toContain('403');
});

it('a path that cannot be read is refused with an id, and shows nothing of the server', async () => {
  const answer = await rawRequest(`${api.url}/%`);
  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.text)).toEqual({
    detail: 'the path cannot be read',
    request_id: answer.headers['x-request-id'],
  });
});
