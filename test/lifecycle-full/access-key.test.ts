import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { AsgardClient } from '../../src/client/client.ts';
import { DataFolder, type TestPlatform } from '../support/data-folder.ts';
import { eventsOf, submit } from '../support/job-scripts.ts';
import { runScript } from '../support/mlflow-for-tests.ts';
import { poll } from '../support/poll.ts';
import { rawRequest } from '../support/raw-request.ts';
import { MLFLOW_REST, pickleScript } from '../support/training-scripts.ts';

const KEY = 'correct-horse-battery-staple';
const REQUESTS_PER_MINUTE = 300;
const JOBS = '{ trainingJobs(first: 1) { edges { node { id } } } }';
const bearer = { authorization: `Bearer ${KEY}` };

let folder: DataFolder;
let platform: TestPlatform;

beforeAll(async () => {
  folder = await DataFolder.make();
  platform = await folder.start({
    ASGARD_API_KEY: KEY,
    ASGARD_RATE_LIMIT: `${REQUESTS_PER_MINUTE}`,
    ASGARD_LOG_LEVEL: 'debug',
    // A compiled model has no process whose environment could be looked at.
    ASGARD_COMPILE: '0',
  });
  await platform.ready();
});

afterAll(async () => {
  await platform?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** Asks for a page as a browser does that was told its address. */
function navigate(url: string, headers: Record<string, string> = {}) {
  const asked = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', 'sec-fetch-mode': 'navigate' };
  return rawRequest(url, { headers: { ...asked, 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none', ...headers } });
}

function post(url: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
  const { origin } = new URL(url);
  return rawRequest(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin, ...headers },
    body: new URLSearchParams(fields).toString(),
  });
}

/** Signs in as a browser does. @returns the header that it sends from then on */
async function signIn(base: string, headers: Record<string, string> = {}): Promise<{ cookie: string }> {
  const answer = await post(`${base}/sign-in`, { key: KEY }, headers);
  expect(answer.status).toBe(303);
  return { cookie: (answer.headers['set-cookie']?.[0] ?? '').split(';', 1)[0] ?? '' };
}

describe('a job', { timeout: 240_000 }, () => {
  test('runs, logs more metrics than a client may send requests, and reaches MLflow alone with its token', async () => {
    const script = `${MLFLOW_REST}
import urllib.error
assert not [name for name, value in os.environ.items() if "${KEY}" in value]
run = mlflow_call("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
for step in range(400):
    mlflow_call("/api/2.0/mlflow/runs/log-metric", {"run_id": run, "key": "m", "value": step, "timestamp": 1, "step": step})
def refused(url, headers={}):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], **headers})
    try:
        urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
for path in ["/mlops/status", "/graphql?query=%7B__typename%7D", "/metrics", "/nowhere"]:
    print("refused", path, *refused("${platform.url}" + path), flush=True)
print("token", os.environ["MLFLOW_TRACKING_TOKEN"])
`;
    const id = await submit(platform.client, script);
    const events = await eventsOf(platform.client, id);
    expect(events.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
    expect(events.filter(({ __typename }) => __typename === 'MetricLogged')).toHaveLength(400);
    const lines = events.flatMap((event) => (event.__typename === 'LogLine' ? [event.text] : []));
    const refused = lines.filter((line) => line.startsWith('refused'));
    expect(refused).toHaveLength(4);
    for (const line of refused) expect(line).toMatch(/ 403 .*a job's token is good for MLflow's API alone/);

    const token = lines.find((line) => line.startsWith('token '))?.slice(6) ?? '';
    expect(token).toMatch(/^asgard-job-/);
    const after = await rawRequest(`${platform.url}/api/2.0/mlflow/experiments/get?experiment_id=0`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(after.status).toBe(401);
    expect(JSON.parse(after.text)).toMatchObject({ error_code: 'UNAUTHENTICATED' });
    const socket = createClient({
      url: `${platform.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { apiKey: token },
    });
    await expect(socket.iterate({ query: JOBS }).next()).rejects.toMatchObject({
      code: 4403,
      reason: expect.stringContaining("a job's token"),
    });
  });

  test('makes a model that a process without the key loads and predicts by', async () => {
    const id = await submit(platform.client, pickleScript(2), 'with_key');
    expect((await eventsOf(platform.client, id)).at(-1)).toMatchObject({ status: 'COMPLETED' });
    const answer = await rawRequest(`${platform.url}/mlops/inference`, {
      method: 'POST',
      headers: { ...bearer, 'content-type': 'application/json' },
      body: JSON.stringify({ model_name: 'with_key', inputs: { a: [1], b: [2] } }),
    });
    expect(JSON.parse(answer.text)).toMatchObject({ predictions: [expect.closeTo(6)] });
    const others = folder.processes().filter(({ pid }) => pid !== platform.pid);
    expect(others.some(({ command }) => command.includes('model_process.py'))).toBe(true);
    for (const { pid, command } of others) {
      // One that has ended meanwhile has none.
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      expect(environment, command).not.toContain(KEY);
    }
  });
});

test('an MLflow client sends the key as its tracking token', async () => {
  for (const trackingUri of [platform.url, platform.mlflowUrl]) {
    const script = 'import mlflow\nprint(mlflow.MlflowClient().get_experiment("0").name)';
    expect(await runScript(script, { trackingUri, token: KEY })).toEqual(['Default']);
    await expect(runScript(script, { trackingUri })).rejects.toThrow(/API key is missing/);
  }
});

describe('the client', () => {
  test('with the key asks and follows', async () => {
    await poll(
      () => platform.client.status(),
      ({ ready }) => ready,
    );
  });

  test.each([
    ['without a key', {}, 'missing'],
    ['with a wrong key', { apiKey: 'this-is-not-the-key' }, 'wrong'],
  ])('%s is told so', async (_name, options, word) => {
    await using client = new AsgardClient({ url: platform.url, ...options });
    await expect(client.status()).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining(word),
    });
    await expect(client.jobEvents('x').next()).rejects.toThrow(/4403 the API key is .*connectionParams/);
  });
});

describe('graphql-ws', () => {
  const over = (connectionParams: Record<string, unknown>, headers: Record<string, string> = {}) => {
    class Socket extends WebSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol, { headers });
      }
    }
    const url = `${platform.url.replace('http', 'ws')}/graphql`;
    return createClient({ url, webSocketImpl: Socket, retryAttempts: 0, connectionParams }).iterate({ query: JOBS });
  };

  test.each([
    ['connectionParams.Authorization', { Authorization: `Bearer ${KEY}` }, {}],
    ['connectionParams.authorization', { authorization: `bearer ${KEY}` }, {}],
    ['connectionParams.apiKey', { apiKey: KEY }, {}],
    ['the request’s Authorization', {}, bearer],
  ])('takes the key in %s', async (_name, params, headers) => {
    const { value } = await over(params, headers).next();
    expect(value.data.trainingJobs).toBeDefined();
  });

  test.each([{}, { apiKey: 'this-is-not-the-key' }, { Authorization: KEY }, { authorization: ['x'] }, { apiKey: 1 }])(
    'closes a socket with %j',
    async (params) => {
      await expect(over(params).next()).rejects.toMatchObject({ code: 4403 });
    },
  );

  test('refuses a socket whose request bears a wrong key', async () => {
    const socket = new WebSocket(`${platform.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      headers: { authorization: 'Bearer this-is-not-the-key' },
    });
    const [error] = await once(socket, 'error');
    expect(error.message).toContain('401');
  });
});

describe('a browser', () => {
  test.each([
    ['/graphql', '/graphql'],
    ['/graphql?query=%7B__typename%7D', '/graphql?query=%7B__typename%7D'],
    ['/mlops/models', '/mlops/models'],
  ])('that asks for %s is led to the sign-in page, and back', async (path, next) => {
    const led = await navigate(platform.url + path);
    expect(led.status).toBe(303);
    expect(led.headers.location).toBe(`/sign-in?next=${encodeURIComponent(next)}`);
    const page = await navigate(platform.url + led.headers.location);
    expect(page.status).toBe(200);
    expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    const shown = /name="next" value="([^"]*)"/.exec(page.text)?.[1] ?? '';
    const form = { key: KEY, next: shown.replace(/&#(\d+);/g, (_all, code) => String.fromCharCode(Number(code))) };
    const signedIn = await post(`${platform.url}/sign-in`, form);
    expect(signedIn.status).toBe(303);
    expect(signedIn.headers.location).toBe(next);
    expect(signedIn.headers['set-cookie']).toEqual([
      expect.stringMatching(/^asgard_session=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/),
    ]);
  });

  test('on MLflow’s port too, whose UI the same cookie serves', async () => {
    expect((await navigate(`${platform.mlflowUrl}/`)).headers.location).toBe('/sign-in?next=%2F');
    const cookie = await signIn(platform.mlflowUrl);
    const page = await navigate(`${platform.mlflowUrl}/`, cookie);
    expect(page.status).toBe(200);
    expect(page.text).toContain('<title>MLflow</title>');
    expect((await navigate(`${platform.mlflowUrl}/`, await signIn(platform.url))).status).toBe(200);
  });

  test('with a wrong key stays on the page, without a cookie', async () => {
    const answer = await post(`${platform.url}/sign-in`, { key: 'this-is-not-the-key', next: '"><script>' });
    expect(answer.status).toBe(401);
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(answer.text).toContain('This is not the API key.');
    expect(answer.text).not.toContain('<script>');
  });

  test.each([
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    '/\t/evil.example',
    '/.//evil.example',
    'javascript:alert(1)',
    '',
  ])('is not led elsewhere by next=%j', async (next) => {
    expect((await post(`${platform.url}/sign-in`, { key: KEY, next })).headers.location).toBe('/graphql');
  });

  test('that came by https gets a cookie for https alone', async () => {
    const { host } = new URL(platform.url);
    const { headers } = await post(`${platform.url}/sign-in`, { key: KEY }, { origin: `https://${host}` });
    expect(headers['set-cookie']?.[0]).toMatch(/; Secure/);
  });

  test('that comes from a link on another site is led here first, so that it sends its cookie', async () => {
    const led = await navigate(`${platform.url}/graphql`, { 'sec-fetch-site': 'cross-site' });
    expect(led.status).toBe(200);
    expect(led.text).toContain('<meta http-equiv="refresh" content="0">');
  });

  test('that has signed in has GraphiQL, its operations, event streams and sockets', async () => {
    const cookie = await signIn(platform.url);
    const own = { ...cookie, 'sec-fetch-site': 'same-origin' };
    expect((await navigate(`${platform.url}/graphql`, cookie)).text).toContain('renderYogaGraphiQL');
    const answer = await rawRequest(`${platform.url}/graphql`, {
      method: 'POST',
      headers: { ...own, origin: platform.url, 'content-type': 'application/json' },
      body: JSON.stringify({ query: JOBS }),
    });
    expect(JSON.parse(answer.text).data.trainingJobs).toBeDefined();

    const query = encodeURIComponent(`query { trainingJobs(first: 1) { edges { node { id } } } }`);
    const stream = await rawRequest(`${platform.url}/graphql?query=${query}`, {
      headers: { ...own, accept: 'text/event-stream' },
    });
    expect(stream.status).toBe(200);

    const url = `${platform.url.replace('http', 'ws')}/graphql`;
    const socket = new WebSocket(url, 'graphql-transport-ws', { origin: platform.url, headers: cookie });
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    const [message] = await once(socket, 'message');
    expect(String(message)).toBe('{"type":"connection_ack"}');
    socket.terminate();
  });

  test('does nothing with its cookie for the page of another origin', async () => {
    const cookie = await signIn(platform.url);
    for (const origin of ['https://evil.example', platform.mlflowUrl, 'null']) {
      const answer = await post(`${platform.url}/graphql`, {}, { ...cookie, origin });
      expect(answer.status).toBe(403);
      const url = `${platform.url.replace('http', 'ws')}/graphql`;
      const socket = new WebSocket(url, 'graphql-transport-ws', { origin, headers: cookie });
      const [error] = await once(socket, 'error');
      expect(error.message).toContain('403');
    }
    expect((await post(`${platform.url}/sign-in`, { key: KEY }, { origin: 'https://evil.example' })).status).toBe(403);
  });

  test('signs out', async () => {
    const cookie = await signIn(platform.url);
    expect((await navigate(`${platform.url}/sign-in`, cookie)).text).toContain('action="/sign-out"');
    const out = await post(`${platform.url}/sign-out`, {}, cookie);
    expect(out.status).toBe(303);
    expect(out.headers['set-cookie']).toEqual([expect.stringMatching(/^asgard_session=; Max-Age=0; Path=\//)]);
  });

  test('is signed out by another key', async () => {
    await using other = await DataFolder.make();
    await using second = await other.start({ ASGARD_API_KEY: `${KEY}-2` });
    const cookie = await signIn(platform.url);
    expect((await navigate(`${second.url}/graphql`, cookie)).status).toBe(303);
  });
});

describe('the log', () => {
  test('has a line for what was refused, with the id that the answer bears, and no query', async () => {
    const answer = await rawRequest(`${platform.url}/mlops/status?token=hidden-in-the-query`);
    const id = answer.headers['x-request-id'];
    const lines = await poll(
      () => platform.log.map((line) => JSON.parse(line)).filter(({ requestId }) => requestId === id),
      (found) => found.length > 0,
    );
    expect(lines).toEqual([
      expect.objectContaining({ level: 30, msg: 'http.request', method: 'GET', path: '/mlops/status', status: 401 }),
    ]);
  });

  test('holds no secret, whatever was sent, at its most talkative', async () => {
    const { cookie } = await signIn(platform.url);
    const secrets = [KEY, cookie.split('=')[1] ?? KEY, 'hidden-in-the-query', 'this-is-not-the-key'];
    const text = platform.log.join('\n');
    expect(text).toContain('http.request');
    for (const secret of secrets) expect(text).not.toContain(secret);
  });
});

test('who sends too much is told to wait, in the shape of each face, and health stays open', async () => {
  // A window may end between any two requests: what two windows admit is enough to fill one.
  const floodUntilRefused = async (path: string) => {
    for (let sent = 0; sent <= 2 * REQUESTS_PER_MINUTE; sent += 1) {
      const { status, headers, text } = await rawRequest(platform.url + path, { headers: bearer });
      if (status !== 429) continue;
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      return JSON.parse(text);
    }
    throw new Error(`${path} was never refused`);
  };
  expect(await floodUntilRefused('/mlops/status')).toMatchObject({
    detail: expect.stringContaining(`more than ${REQUESTS_PER_MINUTE} requests`),
  });
  expect(await floodUntilRefused('/graphql')).toMatchObject({
    errors: [{ extensions: { code: 'RATE_LIMITED', isRetryable: true } }],
  });
  const ofMlflow = await floodUntilRefused('/api/2.0/mlflow/experiments/search');
  expect(ofMlflow).toMatchObject({ error_code: 'REQUEST_LIMIT_EXCEEDED' });
  expect((await rawRequest(`${platform.url}/healthz`)).status).toBe(200);
  // MLflow, too, was sent much.
  expect([200, 503]).toContain((await rawRequest(`${platform.url}/readyz`)).status);
});
