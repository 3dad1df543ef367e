import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { buildHttpServer, listen, MAX_BODY_BYTES } from '../../src/http/server.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { type GraphqlForTests, post, startGraphql, until } from '../support/graphql-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';

let api: GraphqlForTests;

beforeAll(async () => {
  api = await startGraphql();
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});

const QUERY = '{ trainingJobs(first: 1) { edges { node { id } } } }';
const MUTATION = 'mutation { cancelTrainingJob(id: "x") { __typename } }';

describe('who may ask', () => {
  it.each(['localhost', '127.0.0.1', '[::1]', 'asgard.localhost', '192.168.1.7'])('Host %s is served', async (host) => {
    expect(await statusOf({ method: 'GET', host: `${host}:8000` })).toBe(200);
  });

  it.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example'])(
    'Host "%s" is refused: it could be a rebound name',
    async (host) => {
      expect(await statusOf({ method: 'GET', host })).toBe(403);
    },
  );

  it.each(['http', 'https'])('a page of its own (%s) may change things', async (scheme) => {
    const { host } = new URL(api.url);
    expect(await statusOf({ method: 'POST', origin: `${scheme}://${host}` })).toBe(200);
    expect(await statusOf({ method: 'POST', origin: `${scheme}://localhost`, host: 'localhost' })).toBe(200);
  });

  it.each([
    'https://evil.example',
    'http://127.0.0.1.evil.example',
    'http://localhost:3000',
    'http://127.0.0.1:1',
    'http://127.0.0.1',
    'null',
    'file://',
    'ftp://127.0.0.1',
  ])('a page of another origin (%s) may not, by any method', async (origin) => {
    for (const method of ['POST', 'GET', 'OPTIONS']) expect(await statusOf({ method, origin })).toBe(403);
    await expect(openSocket('/graphql', { origin })).rejects.toThrow('403');
  });

  it('no answer lets a browser show itself to another site', async () => {
    const { headers } = await post(api.url, QUERY, {}, { 'sec-fetch-mode': 'cors' });
    expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });

  it('a WebSocket is opened at /graphql alone, for programs and for its own pages', async () => {
    await expect(openSocket('/graphql', {})).resolves.toBe('graphql-transport-ws');
    await expect(openSocket('/graphql', { origin: api.url })).resolves.toBe('graphql-transport-ws');
    await expect(openSocket('/other', {})).rejects.toThrow('404');
    await expect(openSocket('/graphql', { headers: { host: 'evil.example' } })).rejects.toThrow('403');
  });

  it('an upgrade at what is no path is refused and ends nothing', async () => {
    await expect(openSocket('//', {})).rejects.toThrow('404');
    await expect(openSocket('//?x', {})).rejects.toThrow('404');
    await expect(openSocket('/graphql?a=//', {})).resolves.toBe('graphql-transport-ws');
  });
});

describe('requests', () => {
  it('carry an id that the answer names', async () => {
    const { headers } = await post(api.url, QUERY);
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('may hold a script of 1 MiB whose JSON is longer', async () => {
    const script = `# ${'"'.repeat(1024 * 1024 - 10)}\n`;
    const { scriptName, experimentName, modelName } = SUBMISSION;
    const { body } = await post(
      api.url,
      'mutation ($input: SubmitTrainingJobInput!) { submitTrainingJob(input: $input) { __typename } }',
      { input: { scriptName, script, experimentName, modelName } },
    );
    expect(body.data.submitTrainingJob.__typename).toBe('TrainingJob');
  });

  it('that are too large get 413 in GraphQL’s shape', async () => {
    const { status, body } = await post(api.url, `# ${'x'.repeat(MAX_BODY_BYTES)}\n${QUERY}`);
    expect(status).toBe(413);
    expect(body.errors?.[0]?.extensions).toEqual({
      code: 'TOO_LARGE',
      isRetryable: false,
      requestId: expect.any(String),
    });
  });

  it.each([
    ['no JSON', 'application/json', '{'],
    ['nothing', 'application/json', ''],
    ['a document that cannot be parsed', 'application/json', '{"query":"{"}'],
    ['a field that nobody has', 'application/json', '{"query":"{ nope }"}'],
    ['another type', 'text/plain', '{"query":"{__typename}"}'],
  ])('with %s are refused, and are no fault of ours', async (_name, type, body) => {
    const faults = () => api.log.filter(({ level }) => Number(level) >= 40);
    const before = faults().length;
    const response = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': type, accept: 'application/graphql-response+json, application/json' },
      body,
    });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.status).toBeLessThan(500);
    expect(faults().length).toBe(before);
  });

  it('by GET may read but not change', async () => {
    const search = (query: string) => `${api.url}/graphql?query=${encodeURIComponent(query)}`;
    expect((await fetch(search(QUERY))).status).toBe(200);
    expect((await fetch(search(MUTATION))).status).toBe(405);
  });
});

describe('GraphiQL', () => {
  it('comes whole from here: the page loads nothing from elsewhere', async () => {
    const response = await fetch(`${api.url}/graphql`, { headers: { accept: 'text/html' } });
    expect(response.headers.get('content-type')).toContain('text/html');
    const page = await response.text();
    expect(page).toContain('renderYogaGraphiQL');
    const head = page.slice(0, page.indexOf('<style>'));
    expect(head).not.toMatch(/(src|href)=["']?https?:/);
    expect(page).not.toMatch(/<script[^>]+src=/);
    expect(page).not.toMatch(/<link[^>]+stylesheet/);
  });
});

describe('the server', () => {
  it('says in one line which port is in use and what to set', async () => {
    await using other = await buildHttpServer({ log: createLogger('silent', false) });
    const port = Number(new URL(api.url).port);
    await expect(listen(other, '127.0.0.1', port, 'MLFLOW_PORT')).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `port ${port} on 127.0.0.1 is in use: end what listens there, or set MLFLOW_PORT to another port`,
    });
  });

  it('serves the routes of others beside /graphql', async () => {
    await using app = await buildHttpServer({
      log: createLogger('silent', false),
      routes: [async (instance) => void instance.get('/hello', async () => ({ hello: 'world' }))],
    });
    const port = await listen(app, '127.0.0.1', 0);
    await expect((await fetch(`http://127.0.0.1:${port}/hello`)).json()).resolves.toEqual({ hello: 'world' });
  });

  it('closes soon although streams, sockets and a request that does not end are open', async () => {
    const job = await api.services.jobs.submit(SUBMISSION);
    const query = `subscription { jobEvents(id: "${job.id}") { sequence } }`;
    const stream = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query }),
    });
    const socket = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    await once(socket, 'open');
    const closed = once(socket, 'close');
    const half = request(`${api.url}/graphql`, {
      method: 'POST',
      headers: { 'content-length': 1000, 'content-type': 'application/json', expect: '100-continue' },
    });
    half.on('error', () => {}).flushHeaders();
    await once(half, 'continue');
    await until(() => api.open.events === 1);

    await api.restart();
    expect((await closed)[0]).toBe(1001);
    // Cut, not completed: nobody takes it for the end of the job.
    await expect(stream.text()).rejects.toThrow();
    await until(() => api.open.events === 0);
  });
});

/** By node:http, since fetch sets Host and Origin itself. */
async function statusOf({ method, ...headers }: { method: string; host?: string; origin?: string }): Promise<number> {
  const query = method === 'GET' ? `?query=${encodeURIComponent(QUERY)}` : '';
  const sent = request(`${api.url}/graphql${query}`, {
    method,
    agent: false,
    headers: { 'content-type': 'application/json', ...headers },
  });
  sent.end(method !== 'POST' ? undefined : JSON.stringify({ query: MUTATION }));
  const [response] = await once(sent, 'response');
  response.resume();
  return response.statusCode;
}

async function openSocket(path: string, options: { origin?: string; headers?: Record<string, string> }) {
  const socket = new WebSocket(`${api.url.replace('http', 'ws')}${path}`, 'graphql-transport-ws', options);
  await once(socket, 'open');
  const { protocol } = socket;
  socket.terminate();
  return protocol;
}
