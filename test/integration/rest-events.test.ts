import { Agent, EventSource } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appendEvents } from '../../src/jobs/event-store.ts';
import type { JobEvent } from '../../src/jobs/events.ts';
import { wireJobEvent } from '../../src/rest/wire-events.ts';
import { type GraphqlForTests, startGraphql, until } from '../support/graphql-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';
import { type EventMessage, overEventStream } from '../support/subscriptions.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

let api: GraphqlForTests;
let jobId: string;

beforeAll(async () => {
  api = await startGraphql();
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  jobId = (await api.services.jobs.submit(SUBMISSION)).id;
});

const at = '2026-01-02T03:04:05.678Z';
const line = (text: string): JobEvent => ({ type: 'log', at, stream: 'stdout', text });
const append = (...texts: string[]) => appendEvents(api.database, jobId, texts.map(line));
const end = () => api.services.jobs.cancel(jobId);
const ask = (query = '', headers: Record<string, string> = {}) =>
  fetch(`${api.url}/mlops/training/jobs/${jobId}/events${query}`, { headers });
const follow = (options?: Parameters<typeof overEventStream>[2]) => overEventStream(api.url, jobId, options);
const idsOf = (messages: readonly EventMessage[]) => messages.map(({ id }) => id);
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

describe('the event stream', () => {
  it('gives what happened, then what happens, and ends after the end event', async () => {
    await append('one', 'two');
    const messages: EventMessage[] = [];
    for await (const message of follow()) {
      messages.push(message);
      if (message.id !== 3) continue;
      await append('three\u2028\nstill three');
      await end();
    }
    expect(idsOf(messages)).toEqual(upTo(6));
    expect(messages.map(({ event }) => event)).toEqual(['status', 'log', 'log', 'log', 'status', 'end']);
    expect(messages.map(({ data }) => data.sequence)).toEqual(upTo(6));
    for (const { data } of messages) expect(wireJobEvent.parse(data)).toEqual(data);
    expect(messages[0]?.data).toMatchObject({ type: 'status', status: 'queued', state: 'queued', attempt: 0 });
    expect(messages[3]?.data).toEqual({
      sequence: 4,
      type: 'log',
      at,
      stream: 'stdout',
      text: 'three\u2028\nstill three',
    });
    expect(messages[4]?.data).toMatchObject({ status: 'failed', state: 'cancelled' });
    expect(messages[5]?.data).toMatchObject({ type: 'end', exit_code: null, lines: 0, state: 'cancelled' });
  });

  it('names its kinds of events in snake case', async () => {
    const registration = { modelName: 'm', version: '1', runId: 'r', registeredBy: 'script' } as const;
    await appendEvents(api.database, jobId, [
      { type: 'metric', at, runId: 'r', key: 'loss', value: 'NaN', step: 2 },
      { type: 'registration', at, ...registration },
    ]);
    await end();
    const [, metric, version] = await Array.fromAsync(follow());
    expect(metric?.data).toEqual({ sequence: 2, type: 'metric', at, run_id: 'r', key: 'loss', value: 'NaN', step: 2 });
    expect(version?.data).toEqual({
      ...{ sequence: 3, type: 'registration', at },
      ...{ model_name: 'm', version: '1', run_id: 'r', registered_by: 'script' },
    });
  });

  it('says how it is to be read', async () => {
    await end();
    const response = await ask();
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toContain('no-cache');
    expect(await response.text()).toMatch(/^retry: \d+\n\nid: 1\nevent: status\ndata: \{.*\}\n\n/);
  });

  it('goes on behind Last-Event-ID, which goes before `after`', async () => {
    await append('one', 'two', 'three');
    await end();
    expect(idsOf(await Array.fromAsync(follow({ after: 2 })))).toEqual([3, 4, 5, 6]);
    expect(idsOf(await Array.fromAsync(follow({ query: '?after=4' })))).toEqual([5, 6]);
    expect(idsOf(await Array.fromAsync(follow({ after: 5, query: '?after=2' })))).toEqual([6]);
    expect((await ask('?after=5', { 'last-event-id': '' })).status).toBe(200);
  });

  it('after the end is answered 204, which ends an EventSource', async () => {
    await end();
    for (const after of ['3', '4', '2147483647']) expect((await ask('', { 'last-event-id': after })).status).toBe(204);
    expect((await ask('?after=3')).status).toBe(204);
  });

  it('of some kinds gives those, and always the end', async () => {
    await append('one');
    await end();
    const of = async (query: string) => idsOf(await Array.fromAsync(follow({ query })));
    expect(await of('?types=log')).toEqual([2, 4]);
    expect(await of('?types=log,status')).toEqual([1, 2, 3, 4]);
    expect(await of('?types=log&types=status')).toEqual([1, 2, 3, 4]);
    expect(await of('?types=metric&after=1')).toEqual([4]);
  });

  it.each([
    ['?after=-1', {}, ['query', 'after']],
    ['?after=x', {}, ['query', 'after']],
    ['?after=2147483648', {}, ['query', 'after']],
    ['?types=log,nope', {}, ['query', 'types', 1]],
    ['', { 'last-event-id': 'x' }, ['header', 'last-event-id']],
  ])('refuses %s %o and names it', async (query, headers, loc) => {
    const response = await ask(query, headers);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ detail: [{ loc }] });
  });

  it('of an unknown job is 404', async () => {
    for (const id of ['nope', '0000000000000000']) {
      const response = await fetch(`${api.url}/mlops/training/jobs/${id}/events`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ detail: expect.stringContaining(id) });
    }
  });

  it('ends its work on the server soon after its client has gone', async () => {
    for await (const _message of follow()) break;
    await until(() => api.open.events === 0);
    const head = await fetch(`${api.url}/mlops/training/jobs/${jobId}/events`, { method: 'HEAD' });
    expect(head.headers.get('content-type')).toContain('text/event-stream');
    await until(() => api.open.events === 0);
  });

  it('ends whole when the server closes, and goes on where another one is', async () => {
    await append('one');
    const before: EventMessage[] = [];
    let restarting: Promise<void> | undefined;
    for await (const message of follow()) {
      before.push(message);
      if (message.id === 2) restarting = api.restart();
    }
    expect(idsOf(before)).toEqual([1, 2]);
    await restarting;
    await until(() => api.open.events === 0);
    await append('two');
    await end();
    expect(idsOf(await Array.fromAsync(follow({ after: 2 })))).toEqual([3, 4, 5]);
  });

  it('gives every event once to a reader that leaves at random places', async () => {
    const texts = Array.from({ length: 3000 }, (_, index) => `line ${index}`);
    for (let from = 0; from < texts.length; from += 70) await append(...texts.slice(from, from + 70));
    await end();
    const last = texts.length + 3;
    const ids: number[] = [];
    let connections = 0;
    while (ids.at(-1) !== last) {
      connections += 1;
      let left = 1 + Math.floor(Math.random() * 120);
      for await (const { id } of follow({ after: ids.at(-1) ?? 0 })) {
        ids.push(id);
        left -= 1;
        if (left === 0) break;
      }
    }
    expect(connections).toBeGreaterThan(20);
    expect(ids).toEqual(upTo(last));
  });
});

describe('an EventSource', () => {
  it('connects again by itself where it was cut, and is at rest after the end', async () => {
    await using proxy = await startTcpProxy(api.url);
    const dispatcher = new Agent();
    const source = new EventSource(`${proxy.url}/mlops/training/jobs/${jobId}/events`, { dispatcher });
    const ids: number[] = [];
    for (const kind of ['status', 'log', 'end']) {
      source.addEventListener(kind, (event) => ids.push(Number((event as MessageEvent).lastEventId)));
    }
    await until(() => ids.length === 1);
    proxy.cut();
    await append('one', 'two');
    await until(() => ids.length === 3);
    await end();
    await until(() => ids.length === 5);
    // The server has ended the stream: the source asks once more, and 204 tells it to stay away.
    await until(() => source.readyState === EventSource.CLOSED);
    expect(ids).toEqual(upTo(5));
    expect(proxy.connections).toBeGreaterThanOrEqual(2);
    await dispatcher.destroy();
  });
});
