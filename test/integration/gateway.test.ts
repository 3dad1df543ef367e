import { randomBytes } from 'node:crypto';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { buildHttpServer, listen } from '../../src/http/server.ts';
import { mlflowGateway } from '../../src/mlflow/gateway.ts';
import type { GatewayObserver } from '../../src/mlflow/gateway-options.ts';
import type { JobIdentity } from '../../src/mlflow/job-identity.ts';
import type { Observation } from '../../src/mlflow/observation.ts';
import { MAX_API_BODY_BYTES } from '../../src/mlflow/whole-call.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { CallNotesForTests } from '../support/call-notes.ts';
import { type MlflowForTests, runScript, startMlflow } from '../support/mlflow-for-tests.ts';
import { quietPort } from '../support/quiet-port.ts';

let mlflow: MlflowForTests;
let gateway: Gateway;

/** What was observed, by job. Tokens are `asgard-job-<job id>`; the job `ended` is known no more. */
const observed = new Map<string, Observation[]>();
const notes = new CallNotesForTests();
const observer: GatewayObserver = {
  async authenticate(token: string): Promise<JobIdentity | null> {
    const jobId = token.slice('asgard-job-'.length);
    return jobId === 'ended' ? null : { jobId, attemptId: 1n };
  },
  async record({ jobId }: JobIdentity, observation: Observation): Promise<void> {
    if (jobId === 'broken') throw new Error('the database is away');
    observed.set(jobId, [...(observed.get(jobId) ?? []), observation]);
  },
};

class Gateway implements AsyncDisposable {
  readonly url: string;
  readonly #app: FastifyInstance;

  static async start(upstream: () => string, everything = false): Promise<Gateway> {
    const log = createLogger('silent', false);
    const register = async (instance: FastifyInstance) => {
      await instance.register(mlflowGateway, { upstream, everything, observer, notes, log });
    };
    const app = await buildHttpServer({ log, routes: [register] });
    return new Gateway(app, `http://127.0.0.1:${await listen(app, '127.0.0.1', 0)}`);
  }

  private constructor(app: FastifyInstance, url: string) {
    this.#app = app;
    this.url = url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app.close();
  }
}

beforeAll(async () => {
  mlflow = await startMlflow();
  gateway = await Gateway.start(() => mlflow.url);
});

beforeEach(() => observed.clear());

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});

function asJob(jobId: string) {
  return { trackingUri: gateway.url, token: `asgard-job-${jobId}`, experimentName: 'gateway' };
}

function ofType<T extends Observation['type']>(jobId: string, type: T) {
  return (observed.get(jobId) ?? []).filter((each): each is Extract<Observation, { type: T }> => each.type === type);
}

describe('a job’s script, with MLflow’s own client', { timeout: 240_000 }, () => {
  it('is seen creating its run and logging values that are no finite numbers too', async () => {
    const startedAt = Date.now();
    const [runId = ''] = await runScript(
      `
import math, mlflow
with mlflow.start_run() as run:
    mlflow.log_param("depth", 3)
    mlflow.log_params({"a": 1, "b": 2})
    mlflow.log_metric("accuracy", 0.5, step=1)
    mlflow.log_metric("loss", math.nan)
    mlflow.log_metrics({"up": math.inf, "down": -math.inf, "whole": 3}, step=2**40)
    mlflow.log_metric("odd clock", 1.0, timestamp=1_700_000_000_000_000_000)
    mlflow.set_tag("kind", "test")
print(run.info.run_id)`,
      asJob('metrics'),
    );
    const [run] = ofType('metrics', 'run');
    expect(run).toMatchObject({ runId, experimentId: expect.stringMatching(/^\d+$/) });
    const metrics = ofType('metrics', 'metrics').flatMap((each) => each.metrics);
    expect(metrics.map(({ key, value, step }) => [key, value, step])).toEqual([
      ['accuracy', 0.5, 1],
      ['loss', 'NaN', 0],
      ['up', 'Infinity', 2 ** 40],
      ['down', '-Infinity', 2 ** 40],
      ['whole', 3, 2 ** 40],
      ['odd clock', 1, 0],
    ]);
    expect(metrics.every((metric) => metric.runId === runId)).toBe(true);
    expect(metrics[0]?.timestampMs).toBeGreaterThanOrEqual(startedAt);
    expect(metrics[0]?.timestampMs).toBeLessThanOrEqual(Date.now());
    expect(() => new Date(metrics[5]?.timestampMs ?? Number.NaN).toISOString()).not.toThrow();
  });

  it('is seen saving a logged model once, with and without registering it, with and without a run', async () => {
    const lines = await runScript(
      `
import mlflow, mlflow.sklearn
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
options = dict(serialization_format="cloudpickle", pip_requirements=["scikit-learn"])
with mlflow.start_run() as run:
    first = mlflow.sklearn.log_model(model, name="plain", **options)
    mlflow.log_metric("of the model", 1.0, model_id=first.model_id)
    second = mlflow.sklearn.log_model(model, name="named", **options, registered_model_name="gateway model")
third = mlflow.sklearn.log_model(model, name="alone", **options)
version = mlflow.register_model(f"models:/{third.model_id}", "gateway model")
print(run.info.run_id, first.model_id, second.model_id, third.model_id)
print(mlflow.pyfunc.load_model("models:/gateway model/2").predict([[3.0]])[0])`,
      asJob('models'),
    );
    const [runId = '', first, second, third] = lines[0]?.split(' ') ?? [];
    expect(Number(lines[1])).toBeCloseTo(6);
    expect(ofType('models', 'model-saved')).toEqual([
      { type: 'model-saved', source: `models:/${first}`, path: 'plain', runId },
      { type: 'model-saved', source: `models:/${second}`, path: 'named', runId },
      { type: 'model-saved', source: `models:/${third}`, path: 'alone', runId: null },
    ]);
    expect(ofType('models', 'version')).toEqual([
      { type: 'version', name: 'gateway model', version: '1', runId, source: `models:/${second}` },
      { type: 'version', name: 'gateway model', version: '2', runId: null, source: `models:/${third}` },
    ]);
    // The client logs it once more with every model that it saves; whoever is told counts it once.
    const metrics = ofType('models', 'metrics').flatMap((each) => each.metrics);
    expect(new Set(metrics.map((metric) => JSON.stringify(metric)))).toEqual(new Set([JSON.stringify(metrics[0])]));
    expect(metrics[0]).toMatchObject({ key: 'of the model', runId });
  });

  it('is seen saving a pickle at model/model.pkl, and nothing else that it uploads', async () => {
    const lines = await runScript(
      `
import os, pickle, tempfile, mlflow
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.pkl")
    with open(path, "wb") as file:
        pickle.dump({"answer": 42}, file)
    mlflow.log_artifact(path)
    mlflow.log_artifact(path, artifact_path="other/model")
    mlflow.log_artifact(path, artifact_path="model")
    odd = os.path.join(folder, "100% odd & näme+.txt")
    with open(odd, "w") as file:
        file.write("odd")
    mlflow.log_artifact(odd, artifact_path="a b")
    print(run.info.run_id)
    with open(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model/model.pkl"), "rb") as file:
        print(pickle.load(file)["answer"])
    names = [file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, "a b")]
    print(names[0])
    with open(mlflow.MlflowClient().download_artifacts(run.info.run_id, names[0])) as file:
        print(file.read())`,
      asJob('pickle'),
    );
    const [runId = '', answer, name, text] = lines;
    expect([answer, name, text]).toEqual(['42', 'a b/100% odd & näme+.txt', 'odd']);
    expect(ofType('pickle', 'model-saved')).toEqual([
      { type: 'model-saved', source: `runs:/${runId}/model`, path: 'model/model.pkl', runId },
    ]);
  });

  it('is not seen making a prompt or an external model as if they were models', async () => {
    await runScript(
      `
import mlflow
mlflow.genai.register_prompt(name="greeting", template="Hello {{name}}")
mlflow.create_external_model(name="elsewhere")`,
      asJob('prompt'),
    );
    expect(ofType('prompt', 'version')).toEqual([]);
    expect(ofType('prompt', 'model-saved')).toEqual([]);
  });

  it('works with MlflowClient, and without a token is forwarded and not observed', async () => {
    const [line] = await runScript(
      `
import mlflow
client = mlflow.MlflowClient()
experiment = client.create_experiment("it's by hand")
run = client.create_run(experiment)
client.log_batch(run.info.run_id, metrics=[mlflow.entities.Metric("m", 1.0, 1, 0)], params=[mlflow.entities.Param("p", "1")])
client.set_terminated(run.info.run_id)
print(len(client.search_runs([experiment], filter_string="params.p = '1' and metrics.m >= 1")))
try:
    client.get_registered_model("nobody")
except mlflow.MlflowException as error:
    print(error.error_code)`,
      { trackingUri: gateway.url },
    );
    expect(line).toBe('1');
    expect(observed.size).toBe(0);
  });

  it('is told that its token is no longer good', async () => {
    const run = runScript('import mlflow\nmlflow.start_run()', { ...asJob('ended') });
    await expect(run).rejects.toThrow(/UNAUTHENTICATED|job token is unknown/);
  });
});

it('ten jobs at once in one experiment are told apart exactly', async () => {
  const call = async (jobId: string, path: string, body: object) => {
    const response = await fetch(`${gateway.url}/api/2.0/mlflow/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer asgard-job-${jobId}` },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    return response.text();
  };
  const jobs = Array.from({ length: 10 }, (_, index) => `ten-${index}`);
  const runs = await Promise.all(
    jobs.map(async (jobId) => {
      const created: { run: { info: { run_id: string } } } = JSON.parse(
        await call(jobId, 'runs/create', { experiment_id: '0', start_time: Date.now() }),
      );
      const run_id = created.run.info.run_id;
      for (let step = 0; step < 20; step += 1) {
        await call(jobId, 'runs/log-metric', { run_id, key: jobId, value: step, timestamp: Date.now(), step });
      }
      return run_id;
    }),
  );
  for (const [index, jobId] of jobs.entries()) {
    expect(ofType(jobId, 'run').map((each) => each.runId)).toEqual([runs[index]]);
    const metrics = ofType(jobId, 'metrics').flatMap((each) => each.metrics);
    expect(metrics.map(({ runId, key, value, step }) => [runId, key, value, step])).toEqual(
      Array.from({ length: 20 }, (_, step) => [runs[index], jobId, step, step]),
    );
  }
});

it('what a job did is recorded before its script is answered, and is 503 when it cannot be', async () => {
  const answer = await fetch(`${gateway.url}/api/2.0/mlflow/runs/create`, {
    method: 'POST',
    headers: { authorization: 'Bearer asgard-job-broken', 'content-type': 'application/json' },
    body: JSON.stringify({ experiment_id: '0' }),
  });
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({
    error_code: 'TEMPORARILY_UNAVAILABLE',
    message: 'the gateway failed; try again',
  });
});

it('a call that MLflow refuses is passed on and not observed', async () => {
  const answer = await fetch(`${gateway.url}/api/2.0/mlflow/runs/create`, {
    method: 'POST',
    headers: { authorization: 'Bearer asgard-job-refused', 'content-type': 'application/json' },
    body: JSON.stringify({ experiment_id: 'nothing' }),
  });
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(await answer.json()).toMatchObject({ error_code: expect.any(String) });
  expect(observed.size).toBe(0);
});

it('an artifact that MLflow refuses for good is told with its reason, which the script gets too', async () => {
  const put = (path: string) =>
    fetch(`${gateway.url}/api/2.0/mlflow-artifacts/artifacts/${path}`, {
      method: 'PUT',
      headers: { authorization: 'Bearer asgard-job-refused' },
      body: 'note',
    });
  const answer = await put('0/%2e%2e%2f%2e%2e/note.txt');
  expect(answer.status).toBe(400);
  const { message } = z.object({ message: z.string() }).parse(await answer.json());
  expect(observed.get('refused')).toEqual([{ type: 'artifact-refused', reason: message }]);
  expect((await put('0/note.txt')).status).toBe(200);
  expect(observed.get('refused')).toHaveLength(1);
});

it('an artifact of 200 MB streams both ways without being held', async () => {
  const script = (megabytes: number) => `
import hashlib, os, requests
url = "${gateway.url}/api/2.0/mlflow-artifacts/artifacts/0/${'a'.repeat(32)}/artifacts/big.bin"
block, sent, received = os.urandom(2**20), hashlib.sha256(), hashlib.sha256()
def blocks():
    for _ in range(${megabytes}):
        sent.update(block)
        yield block
requests.put(url, data=blocks()).raise_for_status()
for chunk in requests.get(url, stream=True).iter_content(2**20):
    received.update(chunk)
print(sent.hexdigest() == received.hexdigest())`;
  await runScript(script(100), asJob('large')); // the process grows to what it needs
  const before = process.memoryUsage().rss;
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 10);
  const lines = await runScript(script(200), asJob('large'));
  clearInterval(watch);
  expect(lines).toEqual(['True']);
  expect((peak - before) / 2 ** 20).toBeLessThan(100);
}, 240_000);

describe('MLflow’s UI on a port of its own', () => {
  let everything: Gateway;
  beforeAll(async () => {
    everything = await Gateway.start(() => mlflow.url, true);
  });
  afterAll(() => everything[Symbol.asyncDispose]());

  const create = (origin: string, host?: string) =>
    new Promise<number>((resolve, reject) => {
      const request = httpRequest(
        `${everything.url}/ajax-api/2.0/mlflow/experiments/create`,
        { method: 'POST', headers: { origin, 'content-type': 'application/json', ...(host && { host }) } },
        (response) => response.resume().once('end', () => resolve(response.statusCode ?? 0)),
      );
      request.once('error', reject).end(JSON.stringify({ name: randomBytes(8).toString('hex') }));
    });

  it('is served with its files, its health and its GraphQL', async () => {
    const page = await fetch(`${everything.url}/`);
    expect(page.headers.get('content-type')).toContain('text/html');
    const script = /(?:src|href)="(?:\.\/)?(static-files\/[^"]+\.(?:js|css))"/.exec(await page.text())?.[1];
    expect((await fetch(`${everything.url}/${script}`)).status).toBe(200);
    expect((await fetch(`${everything.url}/health`)).status).toBe(200);
    const graphql = await fetch(`${everything.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: everything.url },
      body: JSON.stringify({ query: '{ test(inputString: "abc") { output } }', variables: {} }),
    });
    expect(graphql.status).toBe(200);
  });

  it('may change things from its own origin, by whichever of its names, and a page of another site may not', async () => {
    const { port } = new URL(everything.url);
    expect(await create(everything.url)).toBe(200);
    expect(await create(`http://localhost:${port}`, `localhost:${port}`)).toBe(200);
    expect(await create(`http://192.0.2.1:${port}`, `192.0.2.1:${port}`)).toBe(200);
    expect(await create('https://evil.example')).toBe(403);
    expect(await create('null')).toBe(403);
    // a rebound name is its page's own origin, and no name of ours
    expect(await create(`http://evil.example:${port}`, `evil.example:${port}`)).toBe(403);
  });

  it('does not serve the assistant, which would run commands for any caller', async () => {
    for (const path of ['/ajax-api/3.0/mlflow/assistant/status', '/ajax-api/3.0/mlflow/%61ssistant/message']) {
      expect((await fetch(`${everything.url}${path}`)).status).toBe(403);
    }
  });

  it('is not mounted beside the platform’s own routes', async () => {
    expect((await fetch(`${gateway.url}/`)).status).toBe(404);
    expect((await fetch(`${gateway.url}/graphql`)).status).toBe(404);
    expect((await fetch(`${gateway.url}/api/3.0/mlflow/server-info`)).status).toBe(200);
  });
});

describe('forwarding', () => {
  /** A server that answers with what it was asked. */
  let echo: Server;
  let echoing: Gateway;
  beforeAll(async () => {
    echo = createServer((request, response) => {
      const { method, url, headers } = request;
      request.resume().once('end', () => {
        response.setHeader('connection', 'close, x-hop');
        response.setHeader('x-hop', '1');
        response.setHeader('set-cookie', ['a=1', 'b=2']);
        response.setHeader('location', `http://${headers.host}/elsewhere?x=%2F`);
        response.end(JSON.stringify({ method, url, headers }));
      });
    });
    await new Promise<void>((resolve) => void echo.listen(0, '127.0.0.1', resolve));
    echoing = await Gateway.start(() => `http://127.0.0.1:${(echo.address() as AddressInfo).port}/below/`, true);
  });
  afterAll(async () => {
    await echoing[Symbol.asyncDispose]();
    await new Promise((resolve) => echo.close(resolve));
  });

  const ask = (path: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}) =>
    new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; text: string }>((resolve, reject) => {
      const { host, port } = new URL(echoing.url);
      const { body, ...rest } = options;
      httpRequest({ host: host.split(':')[0], port, path, ...rest }, (response) => {
        let text = '';
        response
          .on('data', (chunk) => {
            text += chunk;
          })
          .once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      })
        .once('error', reject)
        .end(body);
    });

  it('keeps paths and queries byte for byte, and any method', async () => {
    const path = `/api/2.0/mlflow-artifacts/artifacts/a%20b/%2e%2e%2F/c+d/${'long/'.repeat(60)}?q=%27a%27+b&&empty=&q=2`;
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'POST']) {
      const { text } = await ask(path, { method, headers: { 'content-length': '1' }, body: 'x' });
      expect(JSON.parse(text)).toMatchObject({ method, url: `/below${path}` });
    }
  });

  it('drops what belongs to one connection, and a job’s token alone of what authorizes', async () => {
    const headers = { connection: 'x-mine', 'x-mine': '1', te: 'trailers', 'x-kept': 'yes', expect: '100-continue' };
    const basic = await ask('/x', { method: 'POST', headers: { ...headers, authorization: 'Basic abc' }, body: 'x' });
    const sent: { headers: Record<string, string> } = JSON.parse(basic.text);
    expect(sent.headers).toMatchObject({ 'x-kept': 'yes', authorization: 'Basic abc' });
    expect(sent.headers['host']).toBe(`127.0.0.1:${(echo.address() as AddressInfo).port}`);
    for (const name of ['x-mine', 'te', 'expect']) expect(sent.headers).not.toHaveProperty(name);
    expect(basic.headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], location: '/elsewhere?x=%2F' });
    expect(basic.headers).not.toHaveProperty('x-hop');
    const job = await ask('/x', { headers: { authorization: 'Bearer asgard-job-1' } });
    expect(JSON.parse(job.text).headers).not.toHaveProperty('authorization');
    const other = await ask('/x', { headers: { authorization: 'Bearer somebody' } });
    expect(JSON.parse(other.text).headers).toMatchObject({ authorization: 'Bearer somebody' });
  });

  it('refuses a call larger than its bound, whether it says so or not', async () => {
    const body = 'x'.repeat(MAX_API_BODY_BYTES + 1);
    for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      for (const authorization of [{}, { authorization: 'Bearer asgard-job-large' }]) {
        const path = '/api/2.0/mlflow/runs/log-batch';
        const answer = await ask(path, { method: 'POST', headers: { ...headers, ...authorization }, body });
        expect(answer.status).toBe(413);
        expect(JSON.parse(answer.text)).toMatchObject({ error_code: 'INVALID_PARAMETER_VALUE' });
      }
    }
  });

  it('answers 503 in MLflow’s shape when the server is away, to a large upload too', async () => {
    const port = await quietPort();
    await using away = await Gateway.start(() => `http://127.0.0.1:${port}`);
    for (const init of [{}, { method: 'PUT', body: Buffer.alloc(5_000_000) }]) {
      const answer = await fetch(`${away.url}/api/2.0/mlflow-artifacts/artifacts/x`, init);
      expect(answer.status).toBe(503);
      expect(await answer.json()).toEqual({
        error_code: 'TEMPORARILY_UNAVAILABLE',
        message: 'the MLflow server does not answer (ECONNREFUSED); try again',
      });
    }
  });

  it('ends the upstream’s request when the client leaves, before an answer and in the midst of one', async () => {
    let [asked, left] = [0, 0];
    const slow = createServer((request, response) => {
      asked += 1;
      response.once('close', () => {
        left += 1;
      });
      if (request.url?.endsWith('begun')) response.write('begun');
    });
    await new Promise<void>((resolve) => void slow.listen(0, '127.0.0.1', resolve));
    await using waiting = await Gateway.start(() => `http://127.0.0.1:${(slow.address() as AddressInfo).port}`, true);
    const abort = new AbortController();
    const begun = await fetch(`${waiting.url}/begun`, { signal: abort.signal });
    const silent = fetch(`${waiting.url}/silent`, { signal: abort.signal }).catch(() => undefined);
    await expect.poll(() => asked).toBe(2);
    abort.abort();
    await silent;
    await begun.text().catch(() => undefined);
    await expect.poll(() => left).toBe(2);
    await new Promise((resolve) => slow.close(resolve));
  });
});
