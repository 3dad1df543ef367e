import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AsgardClient } from '../src/client/client.ts';
import { type Asgard, startAsgard, upload } from './support/asgard.ts';
import type { Bench, Claim, Measured } from './support/bench.ts';
import { type Figure, percentile } from './support/figures.ts';
import { baseEnvironment, rayEntrypoint } from './support/python-jobs.ts';
import { Ray } from './support/ray.ts';

const PROMISED = 100_000;
/** A little more: the time that the last line takes to come counts. */
const RATE = 110_000;

/** Prints so many lines a second, in a burst every 10 ms, each of 50 bytes; the first and the last tell the time. */
const FLOOD = `
import os, sys, time
rate, seconds = int(os.environ["RATE"]), float(os.environ["SECONDS"])
burst = rate // 100
text = "".join("line of a script that prints as fast as it is told\\n" for _ in range(burst))
started = time.time()
print("@first", started, flush=True)
for number in range(int(seconds * 100)):
    sys.stdout.write(text)
    sys.stdout.flush()
    time.sleep(max(0.0, started + (number + 1) / 100 - time.time()))
print("@last", time.time(), flush=True)
`;

/** Begins when all readers are there, and prints the time now and then. */
const TICKS = `
import os, time
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.05)
for number in range(int(os.environ["LINES"])):
    print("@tick", time.time(), flush=True)
    time.sleep(1)
`;

/** One script that prints as fast as it can be read, and many readers of many jobs. */
export const manyLines: Claim = {
  name: 'many-lines',
  title: 'Many lines, many readers',
  async measure(bench): Promise<Measured> {
    const seconds = bench.size(1, 10);
    const [jobs, readers, lines] = [bench.size(2, 50), bench.size(20, 1_000), bench.size(3, 10)];
    const flood = await floodOf(bench, seconds);
    const crowd = await crowdOf(bench, { jobs, readers, lines });
    const figures: Figure[] = [
      {
        what: `lines from one script to one reader, for ${seconds} s`,
        unit: 'lines/s',
        better: 'higher',
        ours: flood.ours,
        peer: { name: "Ray's log tail", value: flood.theirs },
        promise: `≥ ${PROMISED.toLocaleString('en')}`,
      },
      {
        what: `readers of ${jobs} jobs that got every line`,
        unit: 'readers',
        better: 'higher',
        ours: crowd.complete,
        promise: readers.toLocaleString('en'),
      },
      {
        what: `a line to each of ${readers} readers, p50`,
        unit: 'ms',
        better: 'lower',
        ours: percentile(crowd.delays, 50),
      },
      {
        what: `a line to each of ${readers} readers, p99`,
        unit: 'ms',
        better: 'lower',
        ours: percentile(crowd.delays, 99),
      },
    ];
    return {
      figures,
      notes: [
        `Lines: printed at ${RATE.toLocaleString('en')} a second in bursts 10 ms apart, 50 bytes each; counted until the last has come, and compared with the end record's digest. Asgard's limit of a job's output is raised for it.`,
        `Readers: each a GraphQL subscription on a socket of its own, all in one process of the same machine; every job prints ${lines} lines, one a second, all jobs at once.`,
      ],
    };
  },
};

async function floodOf(bench: Bench, seconds: number): Promise<{ ours: number; theirs: number }> {
  const variables = { RATE: String(RATE), SECONDS: String(seconds) };
  const script = { name: 'flood', text: FLOOD, variables };
  bench.say('lines as fast as they come, on Asgard');
  const ours = await (async () => {
    await using asgard = await startAsgard(bench, { ASGARD_OUTPUT_LIMIT: '1024' });
    return await floodOfOurs(asgard, await upload(asgard, script));
  })();
  bench.say('lines as fast as they come, on Ray');
  const { python } = await baseEnvironment(bench);
  await using ray = await Ray.start(bench);
  const meter = new Meter();
  await ray.tail(await ray.submit(rayEntrypoint(python, script)), (text) => text !== '' && meter.take(text));
  return { ours, theirs: meter.perSecond };
}

async function floodOfOurs({ client }: Asgard, id: string): Promise<number> {
  const meter = new Meter();
  const hash = createHash('sha256');
  for await (const event of client.jobEvents(id)) {
    if (event.__typename === 'LogLine' && event.stream !== 'PLATFORM') {
      meter.take(event.text);
      hash.update(`${event.text}\n`);
    }
    if (event.__typename !== 'JobEnded') continue;
    if (event.lines !== meter.lines || event.sha256 !== hash.digest('hex')) {
      throw new Error(`${meter.lines} of ${event.lines} lines came, or others`);
    }
  }
  return meter.perSecond;
}

/** Counts lines from when the first was printed until the last has come. */
class Meter {
  lines = 0;
  #firstPrintedAt = 0;
  #lastCameAt = 0;

  take(text: string): void {
    this.lines += 1;
    if (text.startsWith('@first ')) this.#firstPrintedAt = Number(text.slice('@first '.length)) * 1000;
    if (text.startsWith('@last ')) this.#lastCameAt = Date.now();
  }

  get perSecond(): number {
    if (this.#firstPrintedAt === 0 || this.#lastCameAt === 0)
      throw new Error('the first line or the last did not come');
    return this.lines / ((this.#lastCameAt - this.#firstPrintedAt) / 1000);
  }
}

async function crowdOf(
  bench: Bench,
  size: { readonly jobs: number; readonly readers: number; readonly lines: number },
) {
  bench.say(`${size.readers} readers of ${size.jobs} jobs`);
  await using asgard = await startAsgard(bench, { ASGARD_WORKER_SLOTS: String(size.jobs) });
  const gate = join(await bench.meetingPlace(), 'open');
  const variables = { GATE: gate, LINES: String(size.lines) };
  const ids: string[] = [];
  for (let job = 0; job < size.jobs; job += 1)
    ids.push(await upload(asgard, { name: 'ticks', text: TICKS, variables }));
  await using stack = new AsyncDisposableStack();
  const delays: number[] = [];
  let begun = 0;
  const allBegun = Promise.withResolvers<void>();
  const read = async (id: string): Promise<boolean> => {
    const client = stack.use(new AsgardClient({ url: asgard.url }));
    let lines = 0;
    for await (const event of client.jobEvents(id)) {
      if (event.__typename === 'StatusChanged' && event.status === 'RUNNING' && ++begun === size.readers)
        allBegun.resolve();
      if (event.__typename !== 'LogLine' || !event.text.startsWith('@tick ')) continue;
      delays.push(Date.now() - Number(event.text.slice('@tick '.length)) * 1000);
      lines += 1;
    }
    return lines === size.lines;
  };
  const readings = Array.from({ length: size.readers }, (_item, index) => read(ids[index % ids.length] ?? ''));
  await Promise.race([allBegun.promise, Promise.all(readings)]);
  await writeFile(gate, '');
  const complete = (await Promise.all(readings)).filter((isComplete) => isComplete).length;
  return { complete, delays };
}
