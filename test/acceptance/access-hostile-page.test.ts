import { once } from 'node:events';
import { describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { rawRequest } from '../support/raw-request.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url, mlflowUrl } = inject('platform');
const json = { 'content-type': 'application/json' };

/** Pages that a browser on this machine may show while the platform runs without a key: whose they are, and their origins. */
const PAGES = [
  ['a page of another site', 'https://evil.example'],
  ['a program on another port of this machine', 'http://127.0.0.1:3000'],
  ["a page on MLflow's port, which shows what scripts made", mlflowUrl],
  ['a sandboxed frame', 'null'],
] as const;

describe.each(PAGES)('%s', (_name, page) => {
  /** What a browser adds to a request of the page's, by the way it is sent. */
  const by = {
    fetch: { origin: page, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
    eventSource: {
      origin: page,
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'cors',
      accept: 'text/event-stream',
    },
    // Without an Origin: those that a page may send without asking.
    image: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
    script: { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' },
    frame: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    form: { origin: page, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  };
  const own = new URL(page === 'null' ? 'http://null' : page).origin === new URL(mlflowUrl).origin ? [] : [mlflowUrl];

  test('cannot upload a script by REST, in any of the ways that a page has', async () => {
    const name = uniqueName('hostile');
    const script = { script_name: 'x.py', script_content: 'print(1)', experiment_name: name, model_name: name };
    const body = JSON.stringify(script);
    const target = `${url}/mlops/training/upload`;
    for (const headers of [
      { ...by.fetch, ...json },
      { ...by.fetch, 'content-type': 'text/plain' },
      { ...by.form, 'content-type': 'application/x-www-form-urlencoded' },
      { ...by.form, 'content-type': 'text/plain' },
      { ...by.image, ...json },
    ]) {
      expect((await rawRequest(target, { method: 'POST', headers, body })).status).toBe(403);
    }
    const preflight = { ...by.fetch, 'access-control-request-method': 'POST' };
    const answer = await rawRequest(target, { method: 'OPTIONS', headers: preflight });
    expect(answer.status).toBe(403);
    expect(Object.keys(answer.headers).filter((each) => each.startsWith('access-control-'))).toEqual([]);
    const experiments = await rawRequest(
      `${url}/graphql?query=${encodeURIComponent('{ trainingJobs(first: 100) { edges { node { experimentName } } } }')}`,
    );
    expect(experiments.text).toContain('"edges"');
    expect(experiments.text).not.toContain(name);
  });

  test('cannot read what the platform holds', async () => {
    const paths = [
      '/mlops/status',
      '/mlops/models',
      '/healthz',
      '/nowhere',
      '/api/2.0/mlflow/experiments/get?experiment_id=0',
    ];
    for (const path of paths) {
      for (const headers of [by.fetch, by.image, by.script, by.frame]) {
        expect((await rawRequest(url + path, { headers })).status, path).toBe(403);
      }
    }
  });

  test('cannot ask GraphQL by POST, by GET, or by a stream of events', async () => {
    const query = '{ trainingJobs(first: 1) { edges { node { id } } } }';
    const body = JSON.stringify({ query });
    for (const headers of [
      { ...by.fetch, ...json },
      { ...by.fetch, 'content-type': 'text/plain' },
    ]) {
      expect((await rawRequest(`${url}/graphql`, { method: 'POST', headers, body })).status).toBe(403);
    }
    const subscription = encodeURIComponent('subscription { jobStatusChanges { jobId } }');
    for (const asked of [encodeURIComponent(query), subscription]) {
      for (const headers of [by.fetch, by.eventSource, by.script, by.frame]) {
        expect((await rawRequest(`${url}/graphql?query=${asked}`, { headers })).status).toBe(403);
      }
    }
  });

  test('cannot open a WebSocket', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { origin: page });
    const [error] = await once(socket, 'error');
    expect(error.message).toContain('403');
  });

  test('cannot drive MLflow on either port', async () => {
    for (const base of [url, ...own]) {
      const name = uniqueName('hostile');
      const target = `${base}/api/2.0/mlflow/experiments/create`;
      for (const headers of [
        { ...by.fetch, ...json },
        { ...by.form, 'content-type': 'text/plain' },
      ]) {
        const answer = await rawRequest(target, { method: 'POST', headers, body: JSON.stringify({ name }) });
        expect(answer.status).toBe(403);
        expect(JSON.parse(answer.text)).toMatchObject({ error_code: 'PERMISSION_DENIED' });
      }
      const asked = `${base}/api/2.0/mlflow/experiments/get-by-name?experiment_name=${name}`;
      expect((await rawRequest(asked)).status).toBe(404);
    }
  });
});

test('a name that was rebound to this machine is refused, on every face', async () => {
  for (const host of ['evil.example', `evil.example:${new URL(url).port}`, 'localhost.evil.example', '']) {
    for (const target of [
      `${url}/mlops/status`,
      `${url}/graphql?query={__typename}`,
      `${url}/healthz`,
      `${mlflowUrl}/`,
    ]) {
      const answer = await rawRequest(target, { headers: { host, origin: `http://${host}` } });
      expect(answer.status, `${host} ${target}`).toBe(403);
    }
    if (host === '') continue; // the WebSocket client sends none that is empty
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { headers: { host } });
    const [error] = await once(socket, 'error');
    expect(error.message).toContain('403');
  }
});

test('a link on another site may lead a user to a page, which nobody else can show or read', async () => {
  const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
  const answer = await rawRequest(`${url}/graphql`, { headers: { ...headers, accept: 'text/html' } });
  expect(answer.status).toBe(200);
  expect(answer.headers).toMatchObject({
    'content-security-policy': "frame-ancestors 'self'",
    'x-frame-options': 'SAMEORIGIN',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'referrer-policy': 'same-origin',
  });
  const posted = await rawRequest(`${url}/mlops/training/jobs/x/cancel`, { method: 'POST', headers });
  expect(posted.status).toBe(403);
});

test('programs, which name no origin, and the platform’s own pages are served', async () => {
  for (const base of [url, mlflowUrl]) {
    const target = `${base}/api/2.0/mlflow/experiments/search`;
    for (const headers of [{}, { origin: base, 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }]) {
      const options = { method: 'POST', headers: { ...json, ...headers }, body: '{"max_results":1}' };
      expect((await rawRequest(target, options)).status).toBe(200);
    }
  }
});
