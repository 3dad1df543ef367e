import { type Asgard, startAsgard, upload } from './support/asgard.ts';
import { alternately, type Claim, type Measured } from './support/bench.ts';
import { type Figure, percentile } from './support/figures.ts';
import { baseEnvironment, rayEntrypoint } from './support/python-jobs.ts';
import { Ray } from './support/ray.ts';

/** Each line is the time at which it was printed; one more comes after a silence, and one that nobody waits for. */
const SCRIPT = `
import os, time
for _ in range(int(os.environ["LINES"])):
    print("@line", time.time(), flush=True)
    time.sleep(0.05)
time.sleep(float(os.environ["SILENCE_SECONDS"]))
print("@silence", time.time(), flush=True)
time.sleep(3)
`;

/** Milliseconds from a line's printing to its arrival at a reader. */
interface Delays {
  readonly lines: number[];
  readonly afterSilence: number[];
}

/** How long a printed line takes to whoever follows the job. */
export const logDelay: Claim = {
  name: 'log-delay',
  title: 'From `print` to the reader',
  async measure(bench): Promise<Measured> {
    const silenceSeconds = bench.size(2, 10);
    const linesPerJob = bench.size(20, 100);
    const rounds = bench.size(1, 4);
    const { python } = await baseEnvironment(bench);
    const asgard = await startAsgard(bench);
    const ray = await Ray.start(bench);
    const variables = { LINES: String(linesPerJob), SILENCE_SECONDS: String(silenceSeconds) };
    const script = { name: 'lines', text: SCRIPT, variables };
    bench.say(`jobs that print ${linesPerJob} lines, in turn on Asgard and on Ray`);
    const subjects = [
      () => delaysOf(linesPerJob, async (onLine) => followOurs(asgard, await upload(asgard, script), onLine)),
      () => delaysOf(linesPerJob, async (onLine) => ray.tail(await ray.submit(rayEntrypoint(python, script)), onLine)),
    ];
    const [ours = [], theirs = []] = await alternately(rounds, subjects, bench.signal);
    const row = (what: string, percent: number, pick: (delays: Delays) => number[]): Figure => ({
      what,
      unit: 'ms',
      better: 'lower',
      ours: percentile(ours.flatMap(pick), percent),
      peer: { name: "Ray's log tail", value: percentile(theirs.flatMap(pick), percent) },
    });
    return {
      figures: [
        row('a line, p50', 50, ({ lines }) => lines),
        row('a line, p99', 99, ({ lines }) => lines),
        row(`the first line after ${silenceSeconds} s of silence, median`, 50, ({ afterSilence }) => afterSilence),
      ],
      notes: [
        `${rounds} jobs each, of ${linesPerJob} lines 50 ms apart and one after a silence, read by a GraphQL subscription and by the WebSocket of Ray's own client.`,
      ],
    };
  },
};

async function followOurs(asgard: Asgard, id: string, onLine: (text: string) => void): Promise<void> {
  for await (const line of asgard.client.jobLog(id)) onLine(line.text);
}

async function delaysOf(expected: number, follow: (onLine: (text: string) => void) => Promise<void>): Promise<Delays> {
  const delays: Delays = { lines: [], afterSilence: [] };
  await follow((text) => {
    const [mark, printedAt] = text.split(' ');
    const delayMs = Date.now() - Number(printedAt) * 1000;
    if (mark === '@line') delays.lines.push(delayMs);
    if (mark === '@silence') delays.afterSilence.push(delayMs);
  });
  if (delays.lines.length !== expected || delays.afterSilence.length !== 1) {
    throw new Error(`${delays.lines.length} of ${expected} lines came`);
  }
  return delays;
}
