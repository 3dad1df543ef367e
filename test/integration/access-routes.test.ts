import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { DataFolder } from '../support/data-folder.ts';
import { rawRequest } from '../support/raw-request.ts';
import { type FoundRoute, withRoutes } from '../support/routes.ts';

const KEY = 'correct-horse-battery';
const OPEN = ['/healthz', '/readyz', '/sign-in', '/sign-out'];

let folder: DataFolder;
let app: App;
/** Of the platform as `npm start` builds it: those of MLflow's port, then those of the API's. */
let servers: FoundRoute[][];

beforeAll(async () => {
  folder = await DataFolder.make();
  const config = parseConfig(folder.variables({ ASGARD_API_KEY: KEY }), false);
  const stop = new AbortController();
  const found = await withRoutes(() => startApp(config, createLogger('silent', false), stop.signal));
  ({ built: app, servers } = found);
});

afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** Every route of both ports, with something in the place of its parameters. */
function targets(): { method: string; pattern: string; url: string }[] {
  return [app.mlflowUrl, app.url].flatMap((base, index) =>
    (servers[index] ?? []).map(({ method, url }) => {
      const path = url.replace(/:\w+/g, 'x').replace(/\/?\*$/, '/x');
      return { method, pattern: url, url: base + path };
    }),
  );
}

describe('with a key, every route that exists', () => {
  it('is known here', () => {
    const patterns = new Set(targets().map(({ method, pattern }) => `${method} ${pattern}`));
    for (const known of ['POST /mlops/training/upload', 'GET /graphql', 'POST /api/2.0/mlflow*', 'PUT /*']) {
      expect(patterns).toContain(known);
    }
    expect(servers).toHaveLength(2);
  });

  it('demands it, but for the health of the platform and the way to sign in', async () => {
    for (const { method, pattern, url } of targets()) {
      if (OPEN.includes(pattern)) continue;
      const answer = await rawRequest(url, { method });
      expect.soft({ method, url, status: answer.status }).toEqual({ method, url, status: 401 });
      expect.soft(answer.headers['www-authenticate'], url).toBe('Bearer realm="asgard"');
      expect.soft(answer.headers['x-request-id'], url).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('lets nobody in with a wrong key, a session of another key, or another scheme', async () => {
    const session = 'eyJhbGciOiJub25lIn0.eyJhdWQiOiJhc2dhcmQtc2Vzc2lvbiIsImV4cCI6OTk5OTk5OTk5OX0.';
    const wrong = [
      { authorization: `Bearer ${KEY}x` },
      { authorization: `Basic ${Buffer.from(`:${KEY}`).toString('base64')}` },
      { cookie: `asgard_session=${session}` },
      { cookie: `asgard_session=${KEY}` },
    ];
    for (const { method, pattern, url } of targets()) {
      if (OPEN.includes(pattern)) continue;
      for (const headers of wrong) {
        const { status } = await rawRequest(url, { method, headers });
        expect.soft({ method, url, headers, status }).toEqual({ method, url, headers, status: 401 });
      }
    }
  });

  it('is closed to the page of another origin, whoever has signed in and whatever it asks', async () => {
    const headers = { authorization: `Bearer ${KEY}`, origin: 'https://evil.example' };
    for (const { method, url } of targets()) {
      const { status } = await rawRequest(url, { method, headers });
      expect.soft({ method, url, status }).toEqual({ method, url, status: 403 });
    }
  });

  it('is let through with the key, whatever it then answers', async () => {
    for (const { method, url } of targets().filter(({ method }) => method === 'GET')) {
      const { status } = await rawRequest(url, { method, headers: { authorization: `Bearer ${KEY}` } });
      expect.soft([401, 403, 429], url).not.toContain(status);
    }
  });

  it.each(['/nowhere', '/healthz/', '/healthz/x', '//healthz', '/%68ealthz/..', '/sign-in/x', '/Healthz'])(
    'is closed under %s too, which is no open path',
    async (path) => {
      for (const base of [app.url, app.mlflowUrl]) {
        expect((await rawRequest(base + path)).status).toBe(401);
      }
    },
  );

  it.each(['PROPFIND', 'TRACE', 'SEARCH'])('is closed to the method %s', async (method) => {
    for (const base of [app.url, app.mlflowUrl]) {
      expect([401, 400, 405, 501]).toContain((await rawRequest(`${base}/mlops/status`, { method })).status);
    }
  });
});

it('the health of the platform is open, on its own port alone', async () => {
  expect((await rawRequest(`${app.url}/healthz`)).status).toBe(200);
  expect([200, 503]).toContain((await rawRequest(`${app.url}/readyz`)).status);
  expect((await rawRequest(`${app.mlflowUrl}/healthz`)).status).toBe(401);
  expect((await rawRequest(`${app.mlflowUrl}/health`)).status).toBe(401);
});

describe('a refusal has the shape of its face', () => {
  it('REST: FastAPI’s, with the id of the request', async () => {
    const answer = await rawRequest(`${app.url}/mlops/status`);
    expect(JSON.parse(answer.text)).toEqual({
      detail: 'the API key is missing: send it as "Authorization: Bearer <key>"',
      request_id: answer.headers['x-request-id'],
    });
  });

  it('the Open Inference Protocol: its error, on every path of its own', async () => {
    for (const path of ['/v2', '/v2/models/x/infer', '/v2/repository/index']) {
      const answer = await rawRequest(app.url + path, { method: 'POST' });
      expect(JSON.parse(answer.text)).toEqual({ error: expect.stringContaining('API key is missing') });
    }
  });

  it('MLflow’s scoring server: its code and message', async () => {
    const answer = await rawRequest(`${app.url}/mlops/models/x/invocations`, { method: 'POST' });
    expect(JSON.parse(answer.text)).toEqual({
      error_code: 'UNAUTHENTICATED',
      message: expect.stringContaining('API key is missing'),
    });
  });

  it('GraphQL: errors', async () => {
    const answer = await rawRequest(`${app.url}/graphql`, { method: 'POST' });
    expect(JSON.parse(answer.text)).toEqual({
      errors: [
        {
          message: expect.stringContaining('API key is missing'),
          extensions: { code: 'UNAUTHORIZED', isRetryable: false, requestId: answer.headers['x-request-id'] },
        },
      ],
    });
  });

  it('MLflow: its code and message, on both ports', async () => {
    for (const base of [app.url, app.mlflowUrl]) {
      const answer = await rawRequest(`${base}/api/2.0/mlflow/experiments/search`);
      expect(JSON.parse(answer.text)).toEqual({
        error_code: 'UNAUTHENTICATED',
        message: expect.stringContaining('API key is missing'),
      });
    }
  });
});
