import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { AsgardClient, type JobEvent } from '../src/client/client.ts';

/** Prints as many lines in a second as it is told, for so long; the last line is the time. */
const STEADY = `
import os, sys, time
rate, seconds = int(os.environ["RATE"]), float(os.environ["SECONDS"])
begin, printed, portion = time.monotonic(), 0, max(1, rate // 100)
while printed < rate * seconds:
    for _ in range(portion):
        print("line", printed, "of a training script, loss=0.12345, val_loss=0.23456")
        printed += 1
    sys.stdout.flush()
    time.sleep(max(0, printed / rate - (time.monotonic() - begin)))
print("@end", begin - time.monotonic() + time.time(), time.time(), flush=True)
`;

/** Prints the time, at a pace, from a given moment on; then once more after a silence. */
const TIMES = `
import os, time
lines, pause = int(os.environ["LINES"]), float(os.environ["PAUSE"])
print("@ready", flush=True)
time.sleep(max(0, float(os.environ["START_AT"]) - time.time()))
for _ in range(lines):
    print("@line", time.time(), flush=True)
    time.sleep(pause)
time.sleep(float(os.environ["SILENCE"]))
print("@silence", time.time(), flush=True)
`;

/** What one script's output came to at one subscriber. */
interface LineRate {
  readonly lines: number;
  /** What the script itself came to, in lines a second. */
  readonly printed: number;
  readonly delivered: number;
  /** From the printing of the last line to its arrival. */
  readonly lagMs: number;
}

/**
 * A script that prints `rate` lines a second for `seconds`, and one subscriber.
 * @throws when the lines that came are not those that the end event proves
 */
export async function lineRate(url: string, options: { rate: number; seconds: number }): Promise<LineRate> {
  await using client = new AsgardClient({ url });
  const id = await submit(client, STEADY, { RATE: String(options.rate), SECONDS: String(options.seconds) });
  const hash = createHash('sha256');
  let [lines, firstAt, lastAt, begun, ended] = [0, 0, 0, 0, 0];
  for await (const event of eventsOf(url, id)) {
    if (event.__typename === 'LogLine' && event.stream !== 'PLATFORM') {
      lines += 1;
      hash.update(`${event.text}\n`);
      firstAt ||= Date.now();
      lastAt = Date.now();
      if (event.text.startsWith('@end'))
        [begun, ended] = event.text
          .split(' ')
          .slice(1)
          .map((text) => Number(text) * 1000) as [number, number];
    }
    if (event.__typename !== 'JobEnded') continue;
    if (event.lines !== lines || event.sha256 !== hash.digest('hex'))
      throw new Error(`${lines} of ${event.lines} lines came whole`);
  }
  const perSecond = (milliseconds: number) => (lines / milliseconds) * 1000;
  return { lines, printed: perSecond(ended - begun), delivered: perSecond(lastAt - firstAt), lagMs: lastAt - ended };
}

/** How long lines took from `print` to each subscriber, in milliseconds. */
interface LineDelays {
  readonly lines: number[];
  readonly afterSilence: number[];
}

/**
 * Jobs that print at a pace, and subscribers of each, on sockets of their own; all of them get every line.
 * @param options.startSeconds how long it may take until all jobs run and are subscribed to
 * @param options.subscribers of all jobs together; a client may hold 1,000 sockets
 * @throws when a line does not come, or comes twice
 */
export async function lineDelays(
  url: string,
  options: {
    jobs: number;
    subscribers: number;
    lines: number;
    pauseSeconds: number;
    silenceSeconds: number;
    startSeconds: number;
  },
): Promise<LineDelays> {
  const { jobs, subscribers, lines, pauseSeconds, silenceSeconds, startSeconds } = options;
  await using client = new AsgardClient({ url });
  const startAt = Date.now() / 1000 + startSeconds;
  const variables = {
    LINES: String(lines),
    PAUSE: String(pauseSeconds),
    SILENCE: String(silenceSeconds),
    START_AT: String(startAt),
  };
  const ids = await Promise.all(Array.from({ length: jobs }, () => submit(client, TIMES, variables)));
  const delays: LineDelays = { lines: [], afterSilence: [] };
  await Promise.all(
    Array.from({ length: subscribers }, async (_, index) => {
      const id = ids[index % jobs] ?? '';
      await delay(index * 5);
      let count = 0;
      for await (const event of eventsOf(url, id)) {
        if (event.__typename !== 'LogLine') continue;
        const [mark, printedAt] = event.text.split(' ');
        const milliseconds = Date.now() - Number(printedAt) * 1000;
        if (mark === '@line') delays.lines.push(milliseconds);
        if (mark === '@silence') delays.afterSilence.push(milliseconds);
        count += mark === '@line' || mark === '@silence' ? 1 : 0;
      }
      if (count !== lines + 1) throw new Error(`a subscriber got ${count} of ${lines + 1} lines`);
    }),
  );
  return delays;
}

async function submit(
  client: AsgardClient,
  script: string,
  variables: Readonly<Record<string, string>>,
): Promise<string> {
  const environmentVariables = Object.entries(variables).map(([name, value]) => ({ name, value }));
  const names = { scriptName: 'stream.py', experimentName: 'streams', modelName: 'streams' };
  return (await client.submit({ ...names, script, environmentVariables })).id;
}

const EVENTS = `subscription ($id: ID!) { jobEvents(id: $id) {
  __typename sequence at ... on LogLine { stream text } ... on JobEnded { lines sha256 } } }`;

const payload = z.object({ jobEvents: z.array(z.custom<JobEvent>()) });

/** Through a socket of its own, by the package that most clients use. */
async function* eventsOf(url: string, id: string): AsyncGenerator<JobEvent, void> {
  const socket = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
  });
  try {
    for await (const { data } of socket.iterate({ query: EVENTS, variables: { id } }))
      yield* payload.parse(data).jobEvents;
  } finally {
    await socket.dispose();
  }
}
