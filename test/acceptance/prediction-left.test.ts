import { once } from 'node:events';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { modelPickle } from '../support/model-pickle.ts';
import { poll } from '../support/poll.ts';
import { savedPickle } from '../support/saved-pickle.ts';
import { uniqueName } from '../support/unique-name.ts';

const { url } = inject('platform');
const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());
const name = uniqueName('sleeps');

/** A row of 13 takes half an hour. */
const SLEEPS = modelPickle(`
import time, types
def predict(frame):
    if "x" in frame and (frame["x"] == 13).any():
        time.sleep(1800)
    return [1] * len(frame)
model = types.SimpleNamespace(predict=predict)
`);
/** The platform's limit is 30 s: what leaves before does so for its caller. */
const AT_ONCE_MS = 25_000;

beforeAll(async () => {
  const { job } = await jobs.run(savedPickle(SLEEPS), { modelName: name });
  expect(job.status).toBe('COMPLETED');
}, JOB_LIMIT_MS);

function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body), ...(signal && { signal }) });
}

const query = 'mutation ($input: PredictInput!) { predict(input: $input) { ... on Prediction { predictions } } }';
/** By a socket of its own, on which the client leaves as `leave` says; what comes after that fails the test that waits for it. */
const socketWay = (leave: (socket: WebSocket) => void) => async (x: number, signal?: AbortSignal) => {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws');
  const send = (message: object) => socket.send(JSON.stringify(message));
  const received: { type: string; payload?: unknown }[] = [];
  socket.on('message', (data) => received.push(JSON.parse(String(data))));
  await once(socket, 'open');
  send({ type: 'connection_init' });
  await once(socket, 'message');
  const payload = { query, variables: { input: { modelName: name, inputs: { x: [x] } } } };
  send({ type: 'subscribe', id: 'asked', payload });
  const left = signal && once(signal, 'abort');
  try {
    await Promise.race([once(socket, 'message'), ...(left === undefined ? [] : [left])]);
    if (signal?.aborted !== true) return Response.json(received.find(({ type }) => type === 'next')?.payload);
    leave(socket);
    await waiting(0);
    if (socket.readyState === WebSocket.OPEN) {
      send({ type: 'ping' });
      await once(socket, 'message');
      expect(received.map(({ type }) => type)).toEqual(['connection_ack', 'pong']);
    }
    throw signal.reason;
  } finally {
    socket.terminate();
  }
};
const WAYS: Record<string, (x: number, signal?: AbortSignal) => Promise<Response>> = {
  REST: (x, signal) => post('/mlops/inference', { model_name: name, inputs: { x: [x] } }, signal),
  invocations: (x, signal) => post(`/mlops/models/${name}/invocations`, { inputs: { x: [x] } }, signal),
  GraphQL: (x, signal) =>
    post('/graphql', { query, variables: { input: { modelName: name, inputs: { x: [x] } } } }, signal),
  'a WebSocket that it closes': socketWay((socket) => socket.close()),
  'a WebSocket whose connection it cuts': socketWay((socket) => socket.terminate()),
  'a WebSocket on which it completes the operation': socketWay((socket) =>
    socket.send(JSON.stringify({ type: 'complete', id: 'asked' })),
  ),
};

const waiting = (count: number) =>
  poll(
    async () => (await jobs.client.servedModels()).find((model) => model.name === name)?.waitingRequests ?? 0,
    (found) => found === count,
    AT_ONCE_MS,
  );

test.each(Object.entries(WAYS))(
  'a caller by %s that goes away takes its request out of the queue, and what is done for nobody is ended',
  { timeout: 120_000 },
  async (_way, ask) => {
    expect((await ask(1)).status).toBe(200);
    const [first, second] = [new AbortController(), new AbortController()];
    const asked = [ask(13, first.signal)];
    await waiting(1);
    // It takes as long as the first: after a second's wait another process may take it in hand.
    asked.push(ask(13, second.signal));
    const outcomes = Promise.allSettled(asked);
    await waiting(2);
    second.abort();
    await waiting(1);
    first.abort();
    await waiting(0);
    expect(await outcomes).toMatchObject(asked.map(() => ({ status: 'rejected', reason: { name: 'AbortError' } })));
    expect((await ask(1)).status).toBe(200);
  },
);
