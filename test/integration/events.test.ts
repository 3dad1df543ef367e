import { PrismaPg } from '@prisma/adapter-pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { PrismaClient } from '../../src/database/generated/client.ts';
import { Listener } from '../../src/database/listen.ts';
import { JobEventFeed } from '../../src/jobs/event-feed.ts';
import { appendEvents, readEvents } from '../../src/jobs/event-store.ts';
import type { JobEvent, NumberedJobEvent } from '../../src/jobs/events.ts';
import { readLogTails } from '../../src/jobs/events-of-many.ts';
import { JobService } from '../../src/jobs/service.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { poll } from '../support/poll.ts';
import { SUBMISSION } from '../support/submission.ts';

let server: DatabasesForTests;
let test: TestDatabase;
let database: PrismaClient;
let jobs: JobService;
let jobId: string;

beforeAll(async () => {
  server = await DatabasesForTests.start();
});
afterAll(async () => server?.[Symbol.asyncDispose]());

beforeEach(async () => {
  test = await server.create();
  database = test.client;
  jobs = new JobService(database);
  jobId = (await jobs.submit(SUBMISSION)).id;
  return () => test[Symbol.asyncDispose]();
});

/** A client of the test's database, to be disconnected, and what it has sent. */
function observe() {
  const adapter = new PrismaPg({ connectionString: test.url, max: 1 });
  const observed = new PrismaClient({ adapter, log: [{ emit: 'event', level: 'query' }] });
  const statements: string[] = [];
  observed.$on('query', ({ query }) => void statements.push(query));
  return { observed, statements };
}

const log = (text: string): JobEvent => ({ type: 'log', at: new Date().toISOString(), stream: 'stdout', text });
const textsOf = (events: readonly JobEvent[]) => events.flatMap((event) => (event.type === 'log' ? [event.text] : []));
const expectWhole = (events: readonly NumberedJobEvent[], after = 0) =>
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => after + index + 1));

describe('appending', () => {
  it('numbers without holes or repetition under 8 appenders, each in its own order', async () => {
    const APPENDERS = 8;
    const clients = [test.connect(4), test.connect(4)];
    await Promise.all(
      Array.from({ length: APPENDERS }, async (_, appender) => {
        const client = clients[appender % clients.length] ?? database;
        for (let batch = 0; batch < 15; batch += 1) {
          const lines = Array.from({ length: 1 + (batch % 4) }, (_, index) => `${appender} ${batch} ${index}`);
          expect(await appendEvents(client, jobId, lines.map(log))).toBe(true);
        }
      }),
    );
    const events = await readEvents(database, jobId, 0, 10_000);
    expectWhole(events);
    const { lastSequence } = await jobs.get(jobId);
    expect(events.at(-1)?.sequence).toBe(lastSequence);
    const texts = textsOf(events);
    for (let appender = 0; appender < APPENDERS; appender += 1) {
      const expected = Array.from({ length: 15 }, (_, batch) =>
        Array.from({ length: 1 + (batch % 4) }, (_, index) => `${appender} ${batch} ${index}`),
      ).flat();
      expect(texts.filter((text) => text.startsWith(`${appender} `))).toEqual(expected);
    }
  });

  it('never shows a number before all smaller ones, to whoever reads meanwhile', async () => {
    let isOver = false;
    const reading = (async () => {
      const reader = test.connect(1);
      let seen = 0;
      while (!isOver) {
        const events = await readEvents(reader, jobId, seen, 1000);
        expectWhole(events, seen);
        seen += events.length;
      }
    })();
    const appending = Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let batch = 0; batch < 25; batch += 1) await appendEvents(database, jobId, [log('a'), log('b')]);
      }),
    ).finally(() => {
      isOver = true;
    });
    await Promise.all([reading, appending]);
  });

  it('keeps texts as they are, whatever they hold', async () => {
    const texts = [
      '',
      ' ',
      '\\u0000 \\',
      '"quoted"',
      "it's",
      'ä ✅ 🐍 \u2028 \ufffd',
      '\t\r\x1b[31m',
      'x'.repeat(70_000),
    ];
    await appendEvents(database, jobId, texts.map(log));
    expect(textsOf(await readEvents(database, jobId, 1, 100))).toEqual(texts);
  });

  it('of very many events at once is read back whole, in pages of any size', async () => {
    const texts = Array.from({ length: 3300 }, (_, index) => `line ${index} ${'x'.repeat(index % 300)}`);
    await appendEvents(database, jobId, texts.map(log));
    for (const limit of [1000, 499, 500, 501, 5000]) {
      const found: NumberedJobEvent[] = [];
      for (;;) {
        const events = await readEvents(database, jobId, found.length, limit);
        expect(events.length).toBeLessThanOrEqual(limit);
        if (events.length === 0) break;
        found.push(...events);
      }
      expectWhole(found);
      expect(textsOf(found)).toEqual(texts);
    }
  });

  it('to a job that has ended writes nothing', async () => {
    await jobs.cancel(jobId);
    const before = await readEvents(database, jobId, 0, 100);
    expect(await appendEvents(database, jobId, [log('late')])).toBe(false);
    expect(await readEvents(database, jobId, 0, 100)).toEqual(before);
  });
});

describe("a job's log", () => {
  it('is its lines in order, however many writes they came in', async () => {
    const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`);
    for (const line of lines) await appendEvents(database, jobId, [log(line)]);
    expect((await jobs.withLog(jobId)).log).toBe(lines.map((line) => `${line}\n`).join(''));
  });

  it('of a usual length is read with its job by two statements, since it is polled', async () => {
    for (let batch = 0; batch < 25; batch += 1) await appendEvents(database, jobId, [log(`line ${batch}`)]);
    const { observed, statements } = observe();
    try {
      const { job, log: text } = await new JobService(observed).withLog(jobId);
      expect(job.id).toBe(jobId);
      expect(text).toMatch(/^line 0\n(.*\n)*line 24\n$/);
      expect(statements).toHaveLength(2);
    } finally {
      await observed.$disconnect();
    }
  });

  it('that is too long is its end, and says that the beginning is left out', async () => {
    for (let batch = 0; batch < 40; batch += 1)
      await appendEvents(database, jobId, [log(`${batch} ${'x'.repeat(96)}`)]);
    const tailOf = async (maxCharacters: number) => {
      const [tail] = await readLogTails(database, [jobId], maxCharacters);
      return tail ?? { text: '', isCut: false };
    };
    const whole = await tailOf(1_000_000);
    expect(whole.isCut).toBe(false);
    for (const limit of [1, 100, 3_300, 3_960]) {
      const { text, isCut } = await tailOf(limit);
      expect(isCut).toBe(true);
      expect(whole.text.endsWith(text)).toBe(true);
      expect(text.length).toBeGreaterThanOrEqual(limit);
      expect(text.length).toBeLessThan(limit + 100);
    }
  });

  it('is empty before the first line, and NOT_FOUND when there is no such job', async () => {
    expect((await jobs.withLog(jobId)).log).toBe('');
    await expect(jobs.withLog('0123456789abcdef')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(jobs.withLog("'")).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('the feed', () => {
  let listener: Listener;
  let feed: JobEventFeed;
  beforeEach(async () => {
    listener = await Listener.start({ url: test.url });
    feed = await JobEventFeed.start(database, listener);
    return async () => {
      feed[Symbol.dispose]();
      await listener[Symbol.asyncDispose]();
    };
  });

  it('gives what there is, then wakes by notification, not by its slow poll', async () => {
    const following = feed.follow(jobId);
    expect((await following.next()).value).toMatchObject([{ sequence: 1, type: 'status' }]);
    // No timer fires from now on: nothing but a notification can wake it.
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    for (const text of ['one', 'two', 'three']) {
      const next = following.next();
      // By another connection than the feed's, as a worker does.
      await appendEvents(test.connect(1), jobId, [log(text)]);
      expect((await next).value).toMatchObject([{ type: 'log', text }]);
    }
    await following.return();
  });

  it('begins after a number, also in the middle of a row', async () => {
    await appendEvents(database, jobId, ['a', 'b', 'c', 'd', 'e'].map(log));
    await jobs.cancel(jobId);
    for (const after of [0, 1, 3, 6, 7]) {
      const events = (await Array.fromAsync(feed.follow(jobId, { after }))).flat();
      expectWhole(events, after);
      expect(events.at(-1)).toMatchObject({ type: 'end', sequence: 8 });
    }
    expect(await Array.fromAsync(feed.follow(jobId, { after: 8 }))).toEqual([]);
    expect(await Array.fromAsync(feed.follow(jobId, { after: 800 }))).toEqual([]);
  });

  it('ends a follower that waits when the job ends, also one that has asked for kinds that do not come', async () => {
    const all = Array.fromAsync(feed.follow(jobId));
    const metrics = Array.fromAsync(feed.follow(jobId, { types: ['metric'] }));
    await appendEvents(database, jobId, [log('one')]);
    await jobs.cancel(jobId);
    expect((await all).flat().map(({ type }) => type)).toEqual(['status', 'log', 'status', 'end']);
    expect(await metrics).toEqual([]);
  });

  it('gives lists that are never empty and follow on each other, to many followers of different speeds', async () => {
    const followers = Array.from({ length: 10 }, async (_, speed) => {
      const events: NumberedJobEvent[] = [];
      for await (const list of feed.follow(jobId, { after: speed % 3 })) {
        expect(list.length).toBeGreaterThan(0);
        events.push(...list);
        // A slow reader: it asks again only when the job has had another transaction.
        for (let turn = 0; turn < speed; turn += 1) await jobs.get(jobId);
      }
      expectWhole(events, speed % 3);
      return events.at(-1)?.sequence;
    });
    const ended = Promise.all(followers);
    ended.catch(() => {}); // told below
    for (let batch = 0; batch < 60; batch += 1) await appendEvents(database, jobId, [log(`${batch}`), log('x')]);
    await jobs.cancel(jobId);
    expect(await ended).toEqual(Array.from({ length: 10 }, () => 123));
  });

  it('reads once for all followers that wait at the same place, and not at all for who has everything', async () => {
    const { observed, statements } = observe();
    const listener = await Listener.start({ url: test.url });
    using watched = await JobEventFeed.start(observed, listener);
    const FOLLOWERS = 20;
    let got = 0;
    const followers = Array.from({ length: FOLLOWERS }, async () => {
      for await (const list of watched.follow(jobId)) got += list.length;
    });
    try {
      await poll(
        () => Promise.resolve(got),
        (count) => count === FOLLOWERS,
      );
      const counts: number[] = [];
      for (let times = 1; times <= 10; times += 1) {
        statements.length = 0;
        await appendEvents(database, jobId, [log('x')]);
        await poll(
          () => Promise.resolve(got),
          (count) => count === FOLLOWERS * (1 + times),
        );
        counts.push(statements.length);
      }
      // A follower that was not yet back at its wait reads for itself, and on a slow machine each looks of its own accord at times.
      expect(Math.min(...counts)).toBeLessThanOrEqual(2);
      await jobs.cancel(jobId);
      await Promise.all(followers);
    } finally {
      await listener[Symbol.asyncDispose]();
      await observed.$disconnect();
    }
  });

  it('leaves when its signal aborts, while it waits too', async () => {
    const stop = new AbortController();
    const following = Array.fromAsync(feed.follow(jobId, { after: 1, signal: stop.signal }));
    stop.abort();
    expect(await following).toEqual([]);
    expect(await Array.fromAsync(feed.follow(jobId, { signal: stop.signal }))).toEqual([]);
  });

  it('of an unknown job is NOT_FOUND', async () => {
    await expect(feed.follow('nope').next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(feed.list('nope', { limit: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('goes on after the database cut its connection, with what was written meanwhile', async () => {
    const following = feed.follow(jobId, { after: 1 });
    const next = following.next();
    const reconnected = new Promise<void>((resolve) => {
      listener.onReconnect(resolve);
    });
    const sql = await test.sql();
    await sql.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'asgard-listen'`);
    await appendEvents(database, jobId, [log('meanwhile')]);
    expect((await next).value).toMatchObject([{ text: 'meanwhile' }]);
    await reconnected;
    const later = following.next();
    await appendEvents(database, jobId, [log('later')]);
    expect((await later).value).toMatchObject([{ text: 'later' }]);
    await following.return();
  });

  it('lists by number, kind and limit', async () => {
    await appendEvents(database, jobId, [
      log('one'),
      { type: 'environment', at: new Date().toISOString(), text: 'prepared' },
      log('two'),
      log('three'),
    ]);
    const texts = async (options: Parameters<typeof feed.list>[1]) => textsOf(await feed.list(jobId, options));
    expect(await texts({ limit: 10 })).toEqual(['one', 'two', 'three']);
    expect(await texts({ limit: 2, types: ['log'] })).toEqual(['one', 'two']);
    expect(await texts({ limit: 10, after: 4 })).toEqual(['three']);
    expect((await feed.list(jobId, { limit: 10, types: ['environment'] })).map(({ sequence }) => sequence)).toEqual([
      3,
    ]);
  });

  it('of all jobs tells each transition from now on, in order, with its reason', async () => {
    const stop = new AbortController();
    const changes = feed.statusChanges(stop.signal);
    const first = changes.next();
    // The subscription holds once its LISTEN was answered: until then nothing is promised.
    await listener.subscribe('asgard_job_status', () => {});
    const { id } = await jobs.submit(SUBMISSION);
    await jobs.cancel(id, 'x'.repeat(1000));
    const seen = [...((await first).value ?? [])];
    while (seen.length < 2) seen.push(...((await changes.next()).value ?? []));
    expect(seen).toMatchObject([
      { jobId: id, sequence: 1, status: 'QUEUED' },
      { jobId: id, sequence: 2, status: 'CANCELLED', reason: expect.stringMatching(/^x{100,600}$/) },
    ]);
    stop.abort();
    expect((await changes.next()).done).toBe(true);
  });
});
