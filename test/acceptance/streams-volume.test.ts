import { afterAll, describe, expect, inject, test } from 'vitest';
import { AsgardClient, type JobEvent } from '../../src/client/client.ts';
import { EndedJob, Gate, JOB_LIMIT_MS, JobsForTests } from '../support/jobs-for-tests.ts';
import { poll } from '../support/poll.ts';
import { overSse } from '../support/subscriptions.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const LINES = 20_000;
const CUT_EVERY = 4_000;

const jobs = new JobsForTests();
afterAll(() => jobs[Symbol.asyncDispose]());

const { url } = inject('platform');

/** Prints its lines in bursts, so that they come over some seconds and readers meet every place in a batch. */
const chatty = (lines: number) => `
import sys, time
for i in range(${lines}):
    print(f"line {i} " + "x" * (i % 97))
    if i % 500 == 0:
        sys.stdout.flush()
        time.sleep(0.02)
`;

function expectWhole(events: readonly { readonly sequence: number }[]): void {
  // Compared as text: a list of 20,000 numbers that differs makes a report that nobody can read.
  const wrong = events.findIndex(({ sequence }, index) => sequence !== index + 1);
  expect(wrong === -1 ? 'whole' : `at ${wrong} comes ${events[wrong]?.sequence}`).toBe('whole');
}

describe('a chatty script', { timeout: JOB_LIMIT_MS }, () => {
  test('reaches a client whose connection is cut again and again with every line once', async () => {
    await using proxy = await startTcpProxy(url);
    await using client = new AsgardClient({ url: proxy.url });
    await using gate = await Gate.create();
    // It waits for its reader in places, so that the connection of a late one is cut before the end too.
    const id = await jobs.submit(`${gate.python}
for i in range(${LINES}):
    if i % ${CUT_EVERY} == 0 and i > 0:
        sys.stdout.flush()
        wait(f"seen {i}")
    print(f"line {i} " + "x" * (i % 97))
`);
    const events: JobEvent[] = [];
    let lines = 0;
    for await (const event of client.jobEvents(id)) {
      events.push(event);
      if (event.__typename !== 'LogLine' || event.stream === 'PLATFORM') continue;
      lines += 1;
      if (lines % CUT_EVERY !== 0) continue;
      proxy.cut();
      await gate.open(`seen ${lines}`);
    }
    expect(proxy.connections).toBeGreaterThanOrEqual(LINES / CUT_EVERY);
    expectWhole(events);
    const ended = new EndedJob(await jobs.client.job(id), events);
    expect(ended.ending).toMatchObject({ status: 'COMPLETED', ...ended.proof });
    expect(ended.proof.lines).toBe(LINES);
    expect(ended.stdout[LINES - 1]).toMatch(new RegExp(`^line ${LINES - 1} `));
  });

  /** Lets nothing through to a client from a script's first line to its end. @returns how many connections it made */
  async function followHeld(): Promise<number> {
    await using gate = await Gate.create();
    await using proxy = await startTcpProxy(url);
    await using slow = new AsgardClient({ url: proxy.url });
    const id = await jobs.submit(`${gate.python}\nprint("first", flush=True)\nwait()\n${chatty(LINES)}`);
    const events: JobEvent[] = [];
    let isHolding = false;
    for await (const event of slow.jobEvents(id)) {
      events.push(event);
      if (isHolding || event.__typename !== 'LogLine') continue;
      isHolding = true;
      proxy.hold();
      await gate.open();
      await jobs.status(id, 'COMPLETED');
      proxy.release();
    }
    expectWhole(events);
    const ended = new EndedJob(await jobs.client.job(id), events);
    expect(ended.ending).toMatchObject(ended.proof);
    expect(ended.proof.lines).toBe(LINES + 1);
    return proxy.connections;
  }

  test('loses nothing for a client that takes nothing until the script has ended', async () => {
    // One connection: it was slow, not cut. Of one that is held for longer than signs of life may take, as on a busy machine, no
    // more can be said than that nothing is lost.
    await poll(followHeld, (connections) => connections === 1, JOB_LIMIT_MS / 2);
  });

  test('loses nothing for an SSE reader that reads slowly', async () => {
    const id = await jobs.submit(chatty(5000));
    const query = 'subscription ($id: ID!) { jobEvents(id: $id) { sequence __typename } }';
    const events: { sequence: number; __typename: string }[] = [];
    let isFirst = true;
    for await (const { data } of overSse(url, query, { id })) {
      events.push(...data.jobEvents);
      if (isFirst) await jobs.status(id, 'COMPLETED');
      isFirst = false;
    }
    expectWhole(events);
    expect(events.at(-1)?.__typename).toBe('JobEnded');
  });

  test('reaches each of 20 subscribers whole', async () => {
    await using gate = await Gate.create();
    const id = await jobs.submit(`${gate.python}\nwait()\n${chatty(2000)}`);
    const clients = Array.from({ length: 20 }, () => new AsgardClient({ url }));
    try {
      const following = clients.map((client) => Array.fromAsync(client.jobEvents(id)));
      await gate.open();
      const [first = [], ...others] = await Promise.all(following);
      expectWhole(first);
      expect(first.at(-1)).toMatchObject({ __typename: 'JobEnded', lines: 2000 });
      const text = JSON.stringify(first);
      expect(others.map((events) => JSON.stringify(events) === text)).toEqual(others.map(() => true));
    } finally {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    }
  });
});
