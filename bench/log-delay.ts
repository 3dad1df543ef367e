import { setTimeout as delay } from 'node:timers/promises';
import { type Asgard, startAsgard, upload } from './support/asgard.ts';
import { alternately, type Bench, type Claim, type Measured } from './support/bench.ts';
import { type Figure, percentile } from './support/figures.ts';
import { baseEnvironment, rayEntrypoint } from './support/python-jobs.ts';
import { Ray } from './support/ray.ts';

/** Each line is the time at which it was printed. The job goes on for as long as a tail takes to show the last. */
const LINES = `
import os, time
for _ in range(int(os.environ["LINES"])):
    print("@line", time.time(), flush=True)
    time.sleep(0.05)
time.sleep(3)
`;

const SILENCE = `
import os, time
time.sleep(float(os.environ["SILENCE_SECONDS"]))
print("@line", time.time(), flush=True)
time.sleep(3)
`;

/** Silent jobs begin apart, so that their lines do not come at once. */
const APART_MS = 300;

/** How a job is followed: hands a script in and calls back for each line. */
type Follow = (script: string, variables: Record<string, string>, onLine: (text: string) => void) => Promise<void>;

/** How long a printed line takes to whoever follows the job. */
export const logDelay: Claim = {
  name: 'log-delay',
  title: 'From `print` to the reader',
  async measure(bench): Promise<Measured> {
    const [rounds, linesPerJob] = [bench.size(1, 4), bench.size(20, 100)];
    const [silentJobs, silenceSeconds] = [bench.size(2, 20), bench.size(2, 60)];
    const { python } = await baseEnvironment(bench);
    const asgard = await startAsgard(bench, { ASGARD_WORKER_SLOTS: String(silentJobs) });
    const ray = await Ray.start(bench);
    const followers: readonly Follow[] = [
      async (text, variables, onLine) =>
        followOurs(asgard, await upload(asgard, { name: 'lines', text, variables }), onLine),
      async (text, variables, onLine) =>
        ray.tail(await ray.submit(rayEntrypoint(python, { name: 'lines', text, variables })), onLine),
    ];
    bench.say(`jobs that print ${linesPerJob} lines, in turn on Asgard and on Ray`);
    const talking = followers.map(
      (follow) => () => delaysOf(linesPerJob, follow, LINES, { LINES: String(linesPerJob) }),
    );
    const lines = (await alternately(rounds, talking, bench.signal)).map((each) => each.flat());
    bench.say(`${silentJobs} jobs that say nothing for ${silenceSeconds} s, on Asgard and then on Ray`);
    const silence: number[][] = [];
    for (const follow of followers) silence.push(await silentDelays(bench, follow, silentJobs, silenceSeconds));

    const row = (what: string, percent: number, [ours = [], theirs = []]: readonly number[][]): Figure => ({
      what,
      unit: 'ms',
      better: 'lower',
      ours: percentile(ours, percent),
      peer: { name: "Ray's log tail", value: percentile(theirs, percent) },
      ...(percent === 99 && { promise: '≤ 50 ms' }),
    });
    const afterSilence = `the first line after ${silenceSeconds} s of silence`;
    return {
      figures: [
        row('a line, p50', 50, lines),
        row('a line, p99', 99, lines),
        row(`${afterSilence}, p50`, 50, silence),
        row(`${afterSilence}, p99`, 99, silence),
      ],
      notes: [
        `Lines: ${rounds} jobs each, of ${linesPerJob} lines 50 ms apart. Silence: ${silentJobs} jobs each, which run at once and print ${APART_MS} ms apart. Read by GraphQL subscriptions, and by the WebSocket of Ray's own client.`,
      ],
    };
  },
};

async function silentDelays(bench: Bench, follow: Follow, jobs: number, seconds: number): Promise<number[]> {
  const delays = Array.from({ length: jobs }, async (_item, index) => {
    await delay(index * APART_MS, undefined, { signal: bench.signal });
    return delaysOf(1, follow, SILENCE, { SILENCE_SECONDS: String(seconds) });
  });
  return (await Promise.all(delays)).flat();
}

async function followOurs(asgard: Asgard, id: string, onLine: (text: string) => void): Promise<void> {
  for await (const line of asgard.client.jobLog(id)) onLine(line.text);
}

/** Milliseconds from each line's printing to its arrival. @throws when not all lines come */
async function delaysOf(
  expected: number,
  follow: Follow,
  script: string,
  variables: Record<string, string>,
): Promise<number[]> {
  const delays: number[] = [];
  await follow(script, variables, (text) => {
    const [mark, printedAt] = text.split(' ');
    if (mark === '@line') delays.push(Date.now() - Number(printedAt) * 1000);
  });
  if (delays.length !== expected) throw new Error(`${delays.length} of ${expected} lines came`);
  return delays;
}
