import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type EndedJob, Gate, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { overSocket, overSse, type Payload } from '../support/subscriptions.ts';

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');

const EVENTS = `subscription ($id: ID!, $after: Int, $types: [JobEventType!]) {
  jobEvents(id: $id, after: $after, types: $types) {
    __typename sequence at
    ... on StatusChanged { status attempt reason }
    ... on EnvironmentLine { text }
    ... on LogLine { stream text }
    ... on JobEnded { status exitCode signal lines bytes sha256 }
  }
}`;
const LOG = 'subscription ($id: ID!, $after: Int) { jobLog(id: $id, after: $after) { sequence stream text } }';
const STATUS = 'subscription ($id: ID!, $after: Int) { jobStatus(id: $id, after: $after) { sequence status attempt } }';

/** All items of a subscription's lists, to its completion. */
async function itemsOf(payloads: AsyncIterable<Payload>, field: string): Promise<Item[]> {
  const items: Item[] = [];
  for await (const { data, errors } of payloads) {
    expect(errors).toBeUndefined();
    expect(data[field].length).toBeGreaterThan(0);
    items.push(...data[field]);
  }
  return items;
}

interface Item {
  readonly sequence: number;
  readonly [field: string]: unknown;
}

const sequencesOf = (items: readonly { sequence: number }[]) => items.map(({ sequence }) => sequence);
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

describe.each([
  ['graphql-ws', overSocket],
  ['SSE', overSse],
] as const)('a subscription over %s', { timeout: JOB_LIMIT_MS }, (_name, subscribe) => {
  let ended: EndedJob;
  beforeAll(async () => {
    ended = await jobs.run('import sys\nfor i in range(50):\n    print(i)\nprint("end", file=sys.stderr)\n');
  });

  test('gives each event as it happens, in order, and completes after the end', async () => {
    await using gate = await Gate.create();
    const id = await jobs.submit(`${gate.python}\nprint("before", flush=True)\nwait()\nprint("after")\n`);
    const seen: Item[] = [];
    for await (const { data } of subscribe(url, EVENTS, { id })) {
      seen.push(...data.jobEvents);
      if (seen.some(({ text }) => text === 'before')) await gate.open();
    }
    expect(sequencesOf(seen)).toEqual(upTo(seen.length));
    expect(seen.at(-1)).toMatchObject({ __typename: 'JobEnded', status: 'COMPLETED' });
    expect(
      seen
        .map(({ text }) => text)
        .filter((text) => text !== undefined)
        .slice(0, 2),
    ).toEqual(['before', 'after']);
  });

  test('gives a job that has ended from its beginning', async () => {
    const { job, events } = ended;
    expect(sequencesOf(await itemsOf(subscribe(url, EVENTS, { id: job.id }), 'jobEvents'))).toEqual(
      sequencesOf(events),
    );
  });

  test('goes on after any number, without loss or repetition', async () => {
    const { job, events } = ended;
    const last = events.length;
    for (const after of [0, 1, 3, 4, 30, last - 1, last, last + 100]) {
      const items = await itemsOf(subscribe(url, EVENTS, { id: job.id, after }), 'jobEvents');
      expect(sequencesOf(items)).toEqual(upTo(last).slice(after));
    }
  });

  test('of some kinds of events gives those alone, with the numbers that they have', async () => {
    const { job, events } = ended;
    const items = await itemsOf(subscribe(url, EVENTS, { id: job.id, types: ['STATUS', 'END'] }), 'jobEvents');
    const wanted = events.filter(({ __typename }) => __typename === 'StatusChanged' || __typename === 'JobEnded');
    expect(sequencesOf(items)).toEqual(sequencesOf(wanted));
  });

  test('of log lines gives those alone, after a number', async () => {
    const lines = ended.of('LogLine').map(({ sequence, stream, text }) => ({ sequence, stream, text }));
    expect(await itemsOf(subscribe(url, LOG, { id: ended.job.id }), 'jobLog')).toEqual(lines);
    const after = lines[20]?.sequence ?? 0;
    expect(await itemsOf(subscribe(url, LOG, { id: ended.job.id, after }), 'jobLog')).toEqual(lines.slice(21));
  });

  test('of transitions gives those alone, after a number', async () => {
    const items = await itemsOf(subscribe(url, STATUS, { id: ended.job.id }), 'jobStatus');
    expect(items.map(({ status }) => status)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED']);
    const after = items[1]?.sequence ?? 0;
    expect(await itemsOf(subscribe(url, STATUS, { id: ended.job.id, after }), 'jobStatus')).toEqual(items.slice(2));
  });

  test.each([EVENTS, LOG, STATUS])('of an unknown job is the error NOT_FOUND that names it (%s)', async (query) => {
    const payloads = await Array.fromAsync(subscribe(url, query, { id: 'no-such-job' }));
    expect(payloads).toHaveLength(1);
    expect(payloads[0]?.data ?? null).toBeNull();
    expect(payloads[0]?.errors).toMatchObject([
      { message: expect.stringContaining('no-such-job'), extensions: { code: 'NOT_FOUND' } },
    ]);
  });

  test('after a negative number is refused', async () => {
    const [payload] = await Array.fromAsync(subscribe(url, EVENTS, { id: ended.job.id, after: -1 }));
    expect(payload?.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT' } }]);
  });

  test('of all jobs tells every transition of each, with the job', async () => {
    const query = 'subscription { jobStatusChanges { jobId sequence status reason job { id scriptName } } }';
    const changes: Record<string, unknown>[] = [];
    const ids: string[] = [];
    const statusesOf = (id: string) => changes.filter(({ jobId }) => jobId === id).map(({ status }) => status);
    const feed = subscribe(url, query);
    const reading = async () => {
      for await (const { data } of feed) {
        changes.push(...data.jobStatusChanges);
        if (ids.length > 0 && ids.every((id) => statusesOf(id).at(-1) === 'COMPLETED')) return;
      }
    };
    const submitting = async () => {
      // A feed without a past tells nothing when it begins: it has begun once a job's transition came.
      await poll(
        async () => {
          await jobs.client.cancel(await jobs.submit('pass\n')).catch(() => undefined);
          return changes.length;
        },
        (length) => length > 0,
      );
      ids.push(...(await Promise.all([jobs.submit('print(1)\n'), jobs.submit('print(2)\n')])));
    };
    await Promise.all([reading(), submitting()]);
    for (const id of ids) {
      expect(statusesOf(id)).toEqual(['QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED']);
      expect(changes.find(({ jobId }) => jobId === id)).toMatchObject({ sequence: 1, job: { id } });
    }
  });
});

describe('both transports', { timeout: JOB_LIMIT_MS }, () => {
  test('deliver the same events of a running job, and what the queries and REST tell later', async () => {
    await using gate = await Gate.create();
    const id = await jobs.submit(`${gate.python}
wait()
for i in range(300):
    print(i)
    print("e", i, file=sys.stderr)
    if i % 50 == 0:
        time.sleep(0.01)
`);
    const following = [overSocket, overSse].map((subscribe) => itemsOf(subscribe(url, EVENTS, { id }), 'jobEvents'));
    await gate.open();
    const [socket = [], sse = []] = await Promise.all(following);
    expect(sse).toEqual(socket);
    expect(sequencesOf(socket)).toEqual(upTo(socket.length));

    const ended = await jobs.end(id);
    expect(sequencesOf(ended.events)).toEqual(sequencesOf(socket));
    expect(ended.ending).toMatchObject(ended.proof);
    expect(ended.proof.lines).toBe(600);
    const texts = socket.flatMap(({ text }) => (typeof text === 'string' ? [`${text}\n`] : []));
    expect(await jobs.client.logText(id)).toBe(texts.join(''));
    const rest = await fetch(`${url}/mlops/training/jobs/${id}`);
    expect(await rest.json()).toMatchObject({ logs: texts.join('') });
  });
});
