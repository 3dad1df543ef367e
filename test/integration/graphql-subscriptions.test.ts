import { type Client, createClient } from 'graphql-ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { AsgardClient, type JobEvent } from '../../src/client/client.ts';
import type { JobEventFilter } from '../../src/client/generated/graphql.ts';
import { appendEvents } from '../../src/jobs/event-store.ts';
import type { JobEvent as StoredEvent } from '../../src/jobs/events.ts';
import { type GraphqlForTests, startGraphql, until } from '../support/graphql-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';

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

const line = (text: string): StoredEvent => ({ type: 'log', at: new Date().toISOString(), stream: 'stdout', text });
const append = (...texts: string[]) => appendEvents(api.database, jobId, texts.map(line));
const end = () => api.services.jobs.cancel(jobId);

describe.each(['graphql-ws', 'SSE by POST', 'SSE by GET'] as const)('a subscription over %s', (transport) => {
  let socket: Client;
  beforeEach(() => {
    socket = createClient({
      url: `${api.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    });
  });
  afterEach(async () => socket.dispose());

  const subscribe = (query: string, variables: Record<string, unknown>, signal?: AbortSignal) =>
    transport === 'graphql-ws'
      ? overSocket(socket, query, variables, signal)
      : overSse(api.url, query, variables, transport === 'SSE by GET' ? 'GET' : 'POST', signal);

  const EVENTS = `subscription ($id: ID!, $after: Int) { jobEvents(id: $id, after: $after) {
    __typename sequence ... on LogLine { text } } }`;

  it('gives what happened, then what happens, in order, and completes after the end event', async () => {
    await append('one', 'two');
    const sequences: number[] = [];
    const types: string[] = [];
    let isLive = false;
    for await (const { data } of subscribe(EVENTS, { id: jobId })) {
      for (const event of data.jobEvents) {
        sequences.push(event.sequence);
        types.push(event.__typename);
      }
      if (!isLive && sequences.includes(3)) {
        isLive = true;
        await append('three', 'four');
        await end();
      }
    }
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect(types.at(-1)).toBe('JobEnded');
    expect(types.filter((type) => type === 'LogLine')).toHaveLength(4);
  });

  it('goes on after the number that it is given', async () => {
    await append('one', 'two', 'three');
    await end();
    const found: string[] = [];
    const LOG = 'subscription ($id: ID!, $after: Int) { jobLog(id: $id, after: $after) { sequence text } }';
    for await (const { data } of subscribe(LOG, { id: jobId, after: 2 })) {
      found.push(...data.jobLog.map(({ sequence, text }: { sequence: number; text: string }) => `${sequence} ${text}`));
    }
    expect(found).toEqual(['3 two', '4 three']);
  });

  it('gives lines that were printed at once together when asked to, and goes on in the middle of them', async () => {
    const at = new Date().toISOString();
    const printed = (text: string): StoredEvent => ({ type: 'log', at, stream: 'stdout', text });
    await appendEvents(api.database, jobId, ['one', 'two', 'three'].map(printed));
    await end();
    const GROUPED = `subscription ($id: ID!, $after: Int) { jobEvents(id: $id, after: $after, grouped: true) {
      __typename sequence ... on LogLine { text } ... on LogLines { firstSequence stream texts } } }`;
    const found = async (after: number) => {
      const events: unknown[] = [];
      for await (const { data } of subscribe(GROUPED, { id: jobId, after })) events.push(...data.jobEvents);
      return events;
    };
    const group = { __typename: 'LogLines', sequence: 4, stream: 'STDOUT' };
    expect(await found(1)).toEqual([
      { ...group, firstSequence: 2, texts: ['one', 'two', 'three'] },
      { __typename: 'StatusChanged', sequence: 5 },
      { __typename: 'JobEnded', sequence: 6 },
    ]);
    expect((await found(2))[0]).toEqual({ ...group, firstSequence: 3, texts: ['two', 'three'] });
    expect((await found(3))[0]).toEqual({ __typename: 'LogLine', sequence: 4, text: 'three' });
  });

  it('of transitions gives those alone', async () => {
    await append('one');
    await end();
    const found: string[] = [];
    const STATUS = 'subscription ($id: ID!) { jobStatus(id: $id) { sequence status } }';
    for await (const { data } of subscribe(STATUS, { id: jobId })) {
      found.push(
        ...data.jobStatus.map(({ sequence, status }: { sequence: number; status: string }) => `${sequence} ${status}`),
      );
    }
    expect(found).toEqual(['1 QUEUED', '3 CANCELLED']);
  });

  it('of an unknown job is an error with the code NOT_FOUND', async () => {
    const payloads: Payload[] = [];
    for await (const payload of subscribe(EVENTS, { id: 'nope' })) payloads.push(payload);
    expect(payloads).toHaveLength(1);
    expect(payloads[0]?.errors).toMatchObject([
      { message: expect.stringContaining('nope'), extensions: { code: 'NOT_FOUND' } },
    ]);
  });

  it('with a variable that does not fit names it, as every operation does', async () => {
    const [payload] = await Array.fromAsync(subscribe(EVENTS, { id: jobId, after: 'x' }));
    expect(payload?.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['after'] }] } }]);
  });

  it('ends its work on the server soon after its client has gone', async () => {
    const leaving = new AbortController();
    for await (const { data } of subscribe(EVENTS, { id: jobId }, leaving.signal)) {
      expect(data.jobEvents).toHaveLength(1);
      break;
    }
    leaving.abort();
    await until(() => api.open.events === 0);
  });
});

describe('jobStatusChanges', () => {
  /** Resolves once whoever subscribes now is told of nothing that was before, and is the only one. */
  async function atRest(): Promise<void> {
    await until(() => api.open.changes === 0);
    await api.listening();
  }

  it('tells of every job, with the job as it is by then', async () => {
    await atRest();
    await using client = createClientOf(api);
    const found: unknown[] = [];
    const CHANGES = 'subscription { jobStatusChanges { jobId status reason job { id status error } } }';
    const following = (async () => {
      for await (const { data } of overSocket(client.socket, CHANGES, {})) {
        found.push(...data.jobStatusChanges.filter((change: { jobId: string }) => change.jobId === jobId));
        if (found.length > 0) return;
      }
    })();
    await until(() => api.open.changes === 1);
    await api.listening();
    await api.services.jobs.cancel(jobId, 'enough');
    await following;
    expect(found).toEqual([
      { jobId, status: 'CANCELLED', reason: 'enough', job: { id: jobId, status: 'CANCELLED', error: 'enough' } },
    ]);
  });

  it('reads the jobs of a payload in one query', async () => {
    const ids = [jobId];
    for (let count = 0; count < 4; count += 1) ids.push((await api.services.jobs.submit(SUBMISSION)).id);
    await atRest();
    await using client = createClientOf(api);
    const payloads: { jobId: string; job: object }[][] = [];
    const CHANGES = 'subscription { jobStatusChanges { jobId job { id status scriptName tags { key } } } }';
    const following = (async () => {
      for await (const { data } of overSocket(client.socket, CHANGES, {})) {
        payloads.push(data.jobStatusChanges);
        if (payloads.flat().length === ids.length) return;
      }
    })();
    await until(() => api.open.changes === 1);
    await api.listening();
    api.databaseQueries.length = 0;
    // Of one transaction, so that they are told of at once.
    await api.database.$transaction(async (transaction) => {
      for (const id of ids) {
        const at = new Date().toISOString();
        await appendEvents(transaction, id, [{ type: 'status', at, status: 'PREPARING', attempt: 1 }]);
      }
    });
    await following;
    const job = { status: 'QUEUED', scriptName: SUBMISSION.scriptName, tags: [] };
    expect(payloads.flat()).toEqual(ids.map((id) => ({ jobId: id, job: { id, ...job } })));
    // The system may have cut in two what the database sent at once.
    expect(payloads.length).toBeLessThan(ids.length);
    expect(api.databaseQueries).toHaveLength(payloads.length);
    for (const query of api.databaseQueries) expect(query).not.toContain('"script"');
  });
});

describe('the client', () => {
  it('follows a job over a restart of the server without loss or repetition', async () => {
    await using client = new AsgardClient({ url: api.url });
    const sequences: number[] = [];
    for await (const event of client.jobEvents(jobId)) {
      sequences.push(event.sequence);
      if (event.sequence === 1) await append('one', 'two');
      if (event.sequence === 2) {
        const restarting = api.restart();
        await append('three');
        await restarting;
        await append('four');
        await end();
      }
    }
    expect(sequences).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('gives the log lines and ends with the job', async () => {
    await using client = new AsgardClient({ url: api.url });
    await append('one', 'two');
    await end();
    const texts: string[] = [];
    for await (const { text } of client.jobLog(jobId)) texts.push(text);
    expect(texts).toEqual(['one', 'two']);
  });

  it('ends at once for a reader that has everything', async () => {
    await using client = new AsgardClient({ url: api.url });
    await end();
    const events: JobEvent[] = [];
    for await (const event of client.jobEvents(jobId, { after: 3 })) events.push(event);
    expect(events).toEqual([]);
  });

  it('stops with the reason of its signal', async () => {
    await using client = new AsgardClient({ url: api.url });
    const stop = new AbortController();
    const reading = (async () => {
      for await (const _ of client.jobEvents(jobId, { signal: stop.signal })) stop.abort(new Error('seen enough'));
    })();
    await expect(reading).rejects.toThrow('seen enough');
    await until(() => api.open.events === 0);
  });

  it('throws what the platform refuses by its code', async () => {
    await using client = new AsgardClient({ url: api.url });
    await expect(client.job('nope')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(client.cancel('nope')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('nope'),
    });
    await expect(client.models()).rejects.toMatchObject({ code: 'UNAVAILABLE', isRetryable: true });
    await expect(client.jobEvents('nope').next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const input = { scriptName: 'a/b.py', script: 'x', experimentName: 'e', modelName: 'm' };
    await expect(client.submit(input)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      issues: [{ path: ['scriptName'] }],
    });
  });

  it('gives up with UNAVAILABLE when nothing answers', async () => {
    await using client = new AsgardClient({ url: 'http://127.0.0.1:1', giveUpAfterMs: 300 });
    await expect(client.status()).rejects.toMatchObject({ code: 'UNAVAILABLE', isRetryable: true });
    await expect(client.jobEvents('x').next()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('hands in, lists and looks up jobs', async () => {
    await using client = new AsgardClient({ url: api.url });
    const { id } = await client.submit({ scriptName: 'a.py', script: 'x', experimentName: 'e', modelName: 'listed' });
    await expect(client.job(id)).resolves.toMatchObject({ id, status: 'QUEUED', run: null, modelVersion: null });
    const { items, endCursor } = await client.jobs({ filter: { modelName: 'listed' } });
    expect(items.map((job) => job.id)).toEqual([id]);
    expect(endCursor).toBeNull();
    await expect(client.jobScript(id)).resolves.toEqual({ script: 'x', environmentVariables: [] });
    await expect(client.cancel(id)).resolves.toMatchObject({ status: 'CANCELLED' });
  });
});

describe('the client, of lists', () => {
  it('iterates all jobs over all pages, counts them, and goes backwards', async () => {
    await using client = new AsgardClient({ url: api.url });
    const names = ['a.py', 'b.py', 'c.py', 'd.py', 'e.py'];
    for (const scriptName of names) {
      await client.submit({ scriptName, script: 'x', experimentName: 'e', modelName: 'all' });
    }
    const filter = { modelName: 'all' };
    const orderBy = { field: 'CREATED_AT', direction: 'ASC' } as const;
    const all = await Array.fromAsync(client.allJobs({ filter, orderBy, first: 2 }));
    expect(all.map(({ scriptName }) => scriptName)).toEqual(names);
    expect(await client.countJobs(filter)).toBe(5);
    const last = await client.jobs({ filter, orderBy, last: 2 });
    const before = await client.jobs({ filter, orderBy, last: 9, before: last.startCursor ?? '' });
    expect([...before.items, ...last.items].map(({ scriptName }) => scriptName)).toEqual(names);
    expect([before.startCursor, last.endCursor]).toEqual([null, null]);
  });

  it('pages through the events that have happened', async () => {
    await using client = new AsgardClient({ url: api.url });
    await append('one', 'two', 'three');
    await end();
    const all = await client.pastJobEvents(jobId);
    expect(all.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6]);
    const page = await client.pastJobEvents(jobId, { after: 1, first: 2, types: ['LOG', 'END'] });
    expect(page).toEqual(all.slice(1, 3));
    const filter = { types: ['LOG'], contains: 'T' } satisfies JobEventFilter;
    expect(await Array.fromAsync(client.allJobEvents(jobId, { filter, first: 1 }))).toEqual(all.slice(2, 4));
    expect((await client.searchJobEvents(jobId, { last: 1, filter })).items).toEqual(all.slice(3, 4));
    await expect(client.searchJobEvents('nope')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(client.pastJobEvents('nope')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

// What a test asks for decides the shape of what it gets.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Payload = { data: any; errors?: readonly unknown[] };

async function* overSocket(
  client: Client,
  query: string,
  variables: Record<string, unknown>,
  signal?: AbortSignal,
): AsyncGenerator<Payload> {
  const payloads = client.iterate({ query, variables });
  signal?.addEventListener('abort', () => void payloads.return?.());
  try {
    for await (const payload of payloads)
      yield { data: payload.data, ...(payload.errors && { errors: payload.errors }) };
  } catch (error) {
    if (!Array.isArray(error)) throw error;
    yield { data: null, errors: error };
  }
}

async function* overSse(
  url: string,
  query: string,
  variables: Record<string, unknown>,
  method: 'GET' | 'POST',
  signal = new AbortController().signal,
): AsyncGenerator<Payload> {
  const search = new URLSearchParams({ query, variables: JSON.stringify(variables) });
  const response = await fetch(method === 'GET' ? `${url}/graphql?${search}` : `${url}/graphql`, {
    method,
    signal,
    headers: { accept: 'text/event-stream', 'content-type': 'application/json' },
    ...(method === 'GET' ? {} : { body: JSON.stringify({ query, variables }) }),
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  let buffer = '';
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
    buffer += read.value;
    const parts = buffer.split('\n\n');
    buffer = parts.pop() ?? '';
    for (const part of parts) {
      if (part.startsWith('event: complete')) return;
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (part.startsWith('event: next') && data !== undefined) yield JSON.parse(data);
    }
  }
  throw new Error('the stream was cut before it was complete');
}

function createClientOf({ url }: GraphqlForTests) {
  const socket = createClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket });
  return { socket, [Symbol.asyncDispose]: async () => socket.dispose() };
}
