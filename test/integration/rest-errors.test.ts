import { Writable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildHttpServer } from '../../src/http/server.ts';
import { AsgardError, ERROR_CODES, type ErrorCode, invalidInput } from '../../src/platform/errors.ts';
import { installErrorReplies } from '../../src/rest/errors.ts';
import { DEFAULT_BODY_BYTES, readJsonBodies } from '../../src/rest/json-body.ts';
import { refuseOtherMethods } from '../../src/rest/routes/refuse.ts';

const logged: string[] = [];
const sink = new Writable({
  write(line, _encoding, done) {
    logged.push(String(line));
    done();
  },
});

let app: FastifyInstance;
let url: string;

beforeAll(async () => {
  app = await buildHttpServer({
    log: pino({ level: 'warn' }, sink),
    routes: [async (server) => void (await server.register(routes))],
  });
  url = await app.listen({ host: '127.0.0.1', port: 0 });
});

async function routes(rest: FastifyInstance): Promise<void> {
  readJsonBodies(rest);
  installErrorReplies(rest);
  rest.post('/echo', async ({ body }) => ({ body: body ?? null }));
  refuseOtherMethods(rest, '/echo', ['POST']);
  rest.get<{ Params: { code: ErrorCode } }>('/fail/:code', async ({ params }) => {
    throw new AsgardError(params.code, `it is ${params.code}`);
  });
  rest.get('/invalid', async () => {
    throw invalidInput(['inputs', 'modelName', 3], 'must be a number');
  });
  rest.get('/fault', async () => {
    throw new TypeError('the secret of the database');
  });
}

beforeEach(() => {
  logged.length = 0;
});

afterAll(() => app.close());

function post(path: string, body: string, contentType: string | null = 'application/json'): Promise<Response> {
  // Bytes, since fetch gives text a content type of its own.
  const headers = contentType === null ? {} : { 'content-type': contentType };
  return fetch(`${url}${path}`, { method: 'POST', body: Buffer.from(body), headers });
}

/** What a failure says, beside the id of the request, which is the header's. */
async function failureOf(answer: Response): Promise<unknown> {
  const { request_id, ...rest } = await answer.json();
  expect(request_id).toBe(answer.headers.get('x-request-id'));
  return rest;
}

test.each(Object.entries(ERROR_CODES))(
  'a failure %s is answered by its own status and its message',
  async (code, row) => {
    const answer = await fetch(`${url}/fail/${code}`);
    expect(answer.status).toBe(row.status);
    const message = `it is ${code}`;
    const detail = row.status === 422 ? [{ loc: ['body'], msg: message, type: 'value_error' }] : message;
    expect(await failureOf(answer)).toEqual({ detail });
    expect(answer.headers.has('retry-after')).toBe([429, 503].includes(row.status));
    expect(logged).toEqual([]);
  },
);

test('an issue is told by the names of the wire, and data keeps its own', async () => {
  const answer = await fetch(`${url}/invalid`);
  expect(await failureOf(answer)).toEqual({
    detail: [{ loc: ['body', 'inputs', 'modelName', 3], msg: 'must be a number', type: 'value_error' }],
  });
});

test('a fault is masked, and logged once with the id that the answer bears', async () => {
  const answer = await fetch(`${url}/fault`);
  expect(answer.status).toBe(500);
  expect(await failureOf(answer)).toEqual({ detail: 'Internal Server Error' });
  expect(logged).toHaveLength(1);
  expect(JSON.parse(logged[0] ?? '')).toMatchObject({
    msg: 'rest.fault',
    requestId: answer.headers.get('x-request-id'),
    err: { message: 'the secret of the database' },
  });
});

test('a body that is not JSON is a 422 which names the position when it is known', async () => {
  const answer = await post('/echo', '{"a" 1}');
  expect(answer.status).toBe(422);
  expect(await failureOf(answer)).toEqual({
    detail: [{ loc: ['body', 5], msg: expect.stringContaining('JSON decode error'), type: 'json_invalid' }],
  });
});

test.each(['application/json', 'application/json; charset=utf-8', 'application/vnd.api+json', 'APPLICATION/JSON'])(
  'a body of the type %s is read',
  async (type) => {
    const answer = await post('/echo', '{"a": 1}', type);
    expect(await answer.json()).toEqual({ body: { a: 1 } });
  },
);

test('an empty body is none', async () => {
  const answer = await post('/echo', '');
  expect(await answer.json()).toEqual({ body: null });
});

test.each([null, 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonp'])(
  'a body of the type %s, which a foreign page could send, is refused',
  async (type) => {
    const answer = await post('/echo', '{"a": 1}', type);
    expect(answer.status).toBe(415);
    expect(await failureOf(answer)).toEqual({ detail: expect.stringContaining('application/json') });
  },
);

test('a body of the limit is read and a larger one refused', async () => {
  const fits = JSON.stringify('x'.repeat(DEFAULT_BODY_BYTES - 2));
  expect((await post('/echo', fits)).status).toBe(200);
  const answer = await post('/echo', `${fits} `);
  expect(answer.status).toBe(413);
  expect(await failureOf(answer)).toEqual({ detail: expect.stringContaining(String(DEFAULT_BODY_BYTES)) });
});

test.each(['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'])(
  '%s where only POST is known is a 405',
  async (method) => {
    const answer = await fetch(`${url}/echo`, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('POST');
    expect(await failureOf(answer)).toEqual({ detail: 'Method Not Allowed' });
  },
);

test.each(['GET', 'POST', 'DELETE'])('%s of an unknown path is a 404', async (method) => {
  const answer = await fetch(`${url}/nowhere/at?all`, { method });
  expect(answer.status).toBe(404);
  expect(answer.headers.has('x-request-id')).toBe(true);
  expect(await failureOf(answer)).toEqual({ detail: 'Not Found' });
});

test('an unknown path is a 404 whatever the body is', async () => {
  expect((await post('/nowhere', 'x', 'text/plain')).status).toBe(404);
  expect((await post('/nowhere', '{')).status).toBe(404);
});
