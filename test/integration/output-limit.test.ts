import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PrismaClient } from '../../src/database/generated/client.ts';
import { Listener } from '../../src/database/listen.ts';
import { JobEventFeed } from '../../src/jobs/event-feed.ts';
import { appendEvents } from '../../src/jobs/event-store.ts';
import type { NumberedJobEvent } from '../../src/jobs/events.ts';
import { appendGap, appendOutput, keptOutput, type OutputLine } from '../../src/jobs/output-store.ts';
import { attemptSoFar, type Claim, claimJobs, takeOverAttempts } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { endAttempt } from '../../src/jobs/transitions.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { omittedOf, outputTexts, proofOf, readAllEvents, unexplainedHoles } from '../support/output.ts';
import { SUBMISSION } from '../support/submission.ts';
import { workerNamed } from '../support/worker.ts';

const LIMIT = 64 * 1024;
const at = '2026-01-02T03:04:05.678Z';

let server: DatabasesForTests;
let test: TestDatabase;
let database: PrismaClient;
let jobs: JobService;
let jobId: string;
let claim: Claim;

beforeAll(async () => {
  server = await DatabasesForTests.start();
});
afterAll(async () => server?.[Symbol.asyncDispose]());
beforeEach(async () => {
  test = await server.create();
  database = test.client;
  jobs = new JobService(database);
  jobId = (await jobs.submit(SUBMISSION)).id;
  const [claimed] = await claimJobs(database, workerNamed('worker'), 1);
  if (claimed === undefined) throw new Error('nothing was claimed');
  claim = claimed;
  return () => test[Symbol.asyncDispose]();
});

const line = (number: number): OutputLine => ({
  type: 'log',
  at,
  stream: number % 3 === 0 ? 'stderr' : 'stdout',
  text: `line ${number} ${'é'.repeat(60 + (number % 40))}`,
});
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => line(first + index));
const metric = (step: number) => ({ type: 'metric', at, runId: 'run', key: 'loss', value: 0.5, step }) as const;
async function print(lines: readonly OutputLine[], by = claim): Promise<void> {
  for (let start = 0; start < lines.length; start += 100)
    expect(await appendOutput(database, by, lines.slice(start, start + 100), LIMIT)).toBe(true);
}

const allEvents = (after?: number) => readAllEvents(database, jobId, after);
const textsUpTo = (last: number, first?: number) => upTo(last, first).map(({ text }) => text);
const bytesOf = (texts: readonly string[]) => proofOf(texts).bytes;

describe('past the output limit', () => {
  it('the first half and the end stay, and one event tells of the rest and its numbers', async () => {
    const LINES = 1500;
    for (let start = 1; start < LINES; start += 250) {
      await print(upTo(start + 249, start));
      expect(await appendEvents(database, jobId, [metric(start)], claim)).toBe(true);
    }
    const events = await allEvents();
    expect(unexplainedHoles(events)).toEqual([]);
    expect(events.at(-1)?.sequence).toBe((await jobs.get(jobId)).lastSequence);
    // Nothing but lines goes.
    expect(events.flatMap((event) => (event.type === 'metric' ? [event.step] : []))).toEqual([
      1, 251, 501, 751, 1001, 1251,
    ]);

    const omitted = omittedOf(events);
    const head = outputTexts(events.filter(({ sequence }) => sequence < omitted.firstSequence));
    const tail = outputTexts(events.filter(({ sequence }) => sequence > omitted.sequence));
    const kept = [...head, ...tail];
    expect(outputTexts(events)).toEqual(kept);
    expect(head).toEqual(textsUpTo(head.length));
    expect(tail).toEqual(textsUpTo(LINES, LINES - tail.length + 1));
    expect(bytesOf(head)).toBeGreaterThan(LIMIT * 0.45);
    expect(bytesOf(head)).toBeLessThanOrEqual(LIMIT / 2);
    expect(bytesOf(tail)).toBeGreaterThan(LIMIT * 0.3);
    expect(bytesOf(kept)).toBeLessThanOrEqual(LIMIT);
    expect(omitted.lines).toBe(LINES - kept.length);
    expect(omitted.bytes).toBe(bytesOf(textsUpTo(LINES)) - bytesOf(kept));
    expect(await keptOutput(database, claim, proofOf(textsUpTo(LINES)))).toEqual(proofOf(kept));
    expect(await attemptSoFar(database, claim.id)).toMatchObject({ framesStored: LINES });
  });

  it('a follower that keeps up has every line, and one that comes back later is told what it missed', async () => {
    await using listener = await Listener.start({ url: test.url });
    using feed = await JobEventFeed.start(database, listener);
    const seen: NumberedJobEvent[] = [];
    const following = (async () => {
      for await (const list of feed.follow(jobId)) seen.push(...list);
    })();
    for (let start = 1; start < 1000; start += 50) {
      await print(upTo(start + 49, start));
      const { lastSequence } = await jobs.get(jobId);
      await expect.poll(() => seen.at(-1)?.sequence).toBe(lastSequence);
    }
    await endAttempt(database, jobId, claim, { status: 'FAILED' });
    await following;
    expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, index) => index + 1));
    expect(proofOf(outputTexts(seen))).toEqual(proofOf(textsUpTo(1000)));

    const omitted = omittedOf(await allEvents());
    for (const after of [omitted.firstSequence - 1, omitted.firstSequence, omitted.sequence - 1]) {
      const events = await allEvents(after);
      expect(events[0]).toEqual(omitted);
      expect(events[1]?.sequence).toBe(omitted.sequence + 1);
      expect(unexplainedHoles(events, after)).toEqual([]);
    }
    expect((await allEvents(omitted.sequence))[0]?.sequence).toBe(omitted.sequence + 1);
    const [page = []] = await feed.listOfMany([jobId], { after: omitted.firstSequence, limit: 3 });
    expect(page[0]).toEqual(omitted);
  });

  it('the log as text has one line in their place', async () => {
    await print(upTo(1000));
    const { log: text } = await jobs.withLog(jobId);
    const omitted = omittedOf(await allEvents());
    const told = text.split('\n').filter((each) => each.startsWith('…'));
    expect(told).toEqual([expect.stringMatching(/^… \d{3} lines \(\d+ KiB\) left out …$/)]);
    expect(told[0]).toContain(`… ${omitted.lines} lines`);
    expect(text.startsWith('line 1 ')).toBe(true);
    expect(text.endsWith(`${line(1000).text}\n`)).toBe(true);
  });

  it('a worker that takes over goes on where the last one was, and the last one writes nothing any more', async () => {
    await print(upTo(600));
    await database.jobAttempt.updateMany({ data: { leaseExpiresAt: new Date(0) } });
    const [next] = await takeOverAttempts(database, workerNamed('next', { place: claim.place }), []);
    if (next === undefined) throw new Error('nothing was taken over');
    const before = await allEvents();
    expect(await appendOutput(database, claim, upTo(1200, 601), LIMIT)).toBe(false);
    expect(await appendGap(database, claim, { at, lastFrame: 3000, totalBytes: 1_000_000 }, LIMIT)).toBe(false);
    expect(await allEvents()).toEqual(before);
    await print(upTo(1200, 601), next);
    const events = await allEvents();
    expect(unexplainedHoles(events)).toEqual([]);
    const output = outputTexts(events);
    expect(events.filter(({ type }) => type === 'omitted')).toMatchObject([{ lines: 1200 - output.length }]);
    expect(output.at(-1)).toBe(line(1200).text);
  });

  it.each([
    ['before the first half was full', 100],
    ['in the first half of more', 300],
    ['after some were left out here', 1000],
  ])('lines that the runner removed count as left out: %s', async (_when, stored) => {
    const all = upTo(5000);
    const texts = textsUpTo(5000);
    await print(all.slice(0, stored));
    const gap = { at, lastFrame: 4500, totalBytes: bytesOf(texts.slice(0, 4500)) };
    expect(await appendGap(database, claim, gap, LIMIT)).toBe(true);
    expect(await attemptSoFar(database, claim.id)).toMatchObject({ framesStored: 4500 });
    for (const from of [4500, 4750]) {
      await print(all.slice(from, from + 250));
      const events = await allEvents();
      expect(unexplainedHoles(events)).toEqual([]);
      const output = outputTexts(events);
      expect(events.filter(({ type }) => type === 'omitted')).toMatchObject([
        {
          lines: from + 250 - output.length,
          bytes: bytesOf(texts.slice(0, from + 250)) - bytesOf(output),
        },
      ]);
      expect(bytesOf(output)).toBeLessThanOrEqual(LIMIT);
      expect(output.at(-1)).toBe(texts[from + 249]);
    }
  });

  it('very short lines count for what storing them takes', async () => {
    const lines = Array.from({ length: 2500 }, () => ({ ...line(1), text: '' }));
    await print(lines);
    expect(outputTexts(await allEvents()).length).toBeLessThanOrEqual(LIMIT / 32);
  });

  it('the end record proves both: all that was printed, and what is still there', async () => {
    await print(upTo(800));
    const all = proofOf(textsUpTo(800));
    const kept = await keptOutput(database, claim, all);
    await endAttempt(database, jobId, claim, { status: 'FAILED', script: { exitCode: 0, signal: null, ...all, kept } });
    const events = await allEvents();
    expect(events.at(-1)).toMatchObject({ type: 'end', ...all, kept: proofOf(outputTexts(events)) });
  });

  it('of a script whose end nobody saw, what is there is proven', async () => {
    await print(upTo(100));
    await endAttempt(database, jobId, claim, { status: 'LOST' });
    const all = proofOf(textsUpTo(100));
    expect((await allEvents()).at(-1)).toMatchObject({ type: 'end', ...all, kept: all });
  });
});
