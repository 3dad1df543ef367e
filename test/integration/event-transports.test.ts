import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appendEvents } from '../../src/jobs/event-store.ts';
import type { JobEvent } from '../../src/jobs/events.ts';
import { type GraphqlForTests, post, startGraphql, until } from '../support/graphql-for-tests.ts';
import { SUBMISSION } from '../support/submission.ts';
import { overEventStream, overSocket, overSse } from '../support/subscriptions.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

/** Two platforms over one database. */
let replicas: [GraphqlForTests, GraphqlForTests];

beforeAll(async () => {
  const first = await startGraphql();
  replicas = [first, await startGraphql(undefined, first.databaseUrl)];
});
afterAll(async () => {
  for (const replica of replicas?.toReversed() ?? []) await replica[Symbol.asyncDispose]();
});

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);
const lines = (count: number, text: string) =>
  Array.from(
    { length: count },
    (): JobEvent => ({ type: 'log', at: new Date().toISOString(), stream: 'stdout', text }),
  );

const EVENTS =
  'subscription ($id: ID!, $after: Int) { jobEvents(id: $id, after: $after) { sequence ... on LogLine { text } } }';
const PAGE = `query ($id: ID!, $after: String) { trainingJob(id: $id) {
  eventConnection(first: 50, after: $after) { edges { cursor } } } }`;

/** The numbers of a job's events behind `after`, in lists, each by another way. */
const ways = {
  'graphql-ws': async function* (url: string, id: string, after: number) {
    for await (const { data } of overSocket(url, EVENTS, { id, after })) yield sequencesOf(data.jobEvents);
  },
  'GraphQL over SSE': async function* (url: string, id: string, after: number) {
    for await (const { data } of overSse(url, EVENTS, { id, after })) yield sequencesOf(data.jobEvents);
  },
  'the event stream': async function* (url: string, id: string, after: number) {
    for await (const message of overEventStream(url, id, { after })) yield [message.id];
  },
  'the connection': async function* (url: string, id: string, after: number) {
    const { body } = await post(url, PAGE, { id, after: String(after) });
    yield body.data.trainingJob.eventConnection.edges.map(({ cursor }: { cursor: string }) => Number(cursor));
  },
} satisfies Record<string, (url: string, id: string, after: number) => AsyncGenerator<number[]>>;

const sequencesOf = (events: readonly { sequence: number }[]) => events.map(({ sequence }) => sequence);
const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T; // there is one

describe('a reader', () => {
  it('that hops between replicas and transports at random gets every event of a live job once', async () => {
    const [first, second] = replicas;
    const { id } = await first.services.jobs.submit(SUBMISSION);
    const BATCHES = 150;
    const writing = (async () => {
      for (let batch = 0; batch < BATCHES; batch += 1) {
        await appendEvents(pick([first, second]).database, id, lines(1 + (batch % 20), `line of ${batch}`));
        await delay(5);
      }
      await second.services.jobs.cancel(id);
    })();
    writing.catch(() => {}); // seen below, unless the test has failed before
    const found: number[] = [];
    const hops = new Set<string>();
    for (let isOver = false; !isOver; ) {
      const name = pick(Object.keys(ways) as (keyof typeof ways)[]);
      hops.add(name);
      let left = 1 + Math.floor(Math.random() * 60);
      for await (const sequences of ways[name](pick(replicas).url, id, found.at(-1) ?? 0)) {
        found.push(...sequences);
        left -= sequences.length;
        if (left <= 0) break;
      }
      const { lastSequence, completedAt } = await first.services.jobs.get(id);
      // A reader that was late may have had much at once: it goes on until it has tried every way.
      isOver = found.length === lastSequence && completedAt !== null && hops.size === Object.keys(ways).length;
    }
    await writing;
    const { lastSequence } = await first.services.jobs.get(id);
    expect(found).toEqual(upTo(lastSequence));
    await until(() => replicas.every(({ open }) => open.events === 0));
  });
});

describe.each(['graphql-ws', 'GraphQL over SSE', 'the event stream'] as const)('a subscriber over %s', (name) => {
  it('that takes nothing costs a bounded buffer and slows nobody, then goes on without loss', async () => {
    const [api] = replicas;
    const { id } = await api.services.jobs.submit(SUBMISSION);
    const LINES = 20_000;
    const TEXT = 'x'.repeat(2_000);
    // What each follower has taken of the 40 MB, by the order in which they began.
    const taken: number[] = [];
    const { follow } = api.services.events;
    api.services.events.follow = async function* (...args) {
      const index = taken.push(0) - 1;
      for await (const events of follow.apply(this, args)) {
        taken[index] = (taken[index] ?? 0) + events.length;
        yield events;
      }
    };
    try {
      await using proxy = await startTcpProxy(api.url);
      const slow: number[] = [];
      const begun = Promise.withResolvers<void>();
      const followingSlowly = (async () => {
        for await (const sequences of ways[name](proxy.url, id, 0)) {
          slow.push(...sequences);
          begun.resolve();
        }
      })();
      followingSlowly.catch(() => {}); // seen below, unless the test has failed before
      await begun.promise;
      proxy.hold();
      const quick: number[] = [];
      const following = (async () => {
        for await (const sequences of ways[name](api.url, id, 0)) quick.push(...sequences);
      })();
      following.catch(() => {}); // as above
      for (let count = 0; count < LINES; count += 500) await appendEvents(api.database, id, lines(500, TEXT));
      await api.services.jobs.cancel(id);
      await following;
      expect(quick).toEqual(upTo(LINES + 3));
      // Long after the other had all of it: what was under way to it, and what fits into the system's own buffers (4 to 5 MB of
      // the 40 on Linux) and a list or two.
      expect(slow.length).toBeLessThan(LINES / 20);
      expect(taken[0]).toBeLessThan(LINES / 5);
      proxy.release();
      await followingSlowly;
      expect(slow).toEqual(upTo(LINES + 3));
      expect(proxy.connections).toBe(1);
    } finally {
      api.services.events.follow = follow;
    }
  });
});
