import { readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../src/platform/errors.ts';
import type { TestPlatform } from '../test/support/data-folder.ts';
import { poll } from '../test/support/poll.ts';
import { FollowedJob } from './support/followed-job.ts';
import { HOSTILE_SCRIPTS, PRELUDE } from './support/hostile-scripts.ts';
import { LifeLine } from './support/life-line.ts';
import type { Proof, Proven } from './support/proof.ts';
import type { Stress } from './support/stress.ts';

/** As many at once: the rest of the machine is theirs too. */
const AT_ONCE = 4;
/** They are cancelled up to so long after they began. */
const SPAN_MS = 500;
const JOB_LIMIT_MS = 240_000;
const GONE_LIMIT_MS = 20_000;
/** What a script gets to end by itself. */
const GRACE_SECONDS = 2;

export const hostile: Proof = {
  name: 'hostile',
  title: 'Scripts that resist their cancellation',
  prove: (stress) => proveHostile(stress, { scripts: 50, slackSeconds: 0.5 }),
};

/** What one script came to. */
interface Outcome {
  readonly name: string;
  readonly born: number;
  /** From the cancel to the end of its last process; infinite when that did not come. */
  readonly seconds: number;
  readonly faults: readonly string[];
}

/**
 * Each script is cancelled while it does its worst.
 * @param counts.slackSeconds how long after its grace the last of a script's processes must be gone
 */
export async function proveHostile(
  stress: Stress,
  counts: { readonly scripts: number; readonly slackSeconds: number },
): Promise<Proven> {
  const folder = await stress.folder();
  const outside = await stress.meetingPlace();
  await using platform = await folder.start({ ASGARD_WORKER_SLOTS: String(AT_ONCE) });
  await platform.ready();
  const limit = GRACE_SECONDS + counts.slackSeconds;
  const names = Object.keys(HOSTILE_SCRIPTS);
  const outcomes: Outcome[] = [];
  let next = 0;
  const canceller = async () => {
    while (next < counts.scripts) {
      const number = next++;
      const name = names[number % names.length] ?? '';
      using lifeLine = await LifeLine.make(outside, `${number}`);
      outcomes.push(await cancelled(stress, platform, { name, number, lifeLine, limit }));
      stress.say(`${outcomes.length} of ${counts.scripts}: ${name}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, canceller));
  const isHealthy = await platform.ready().then(
    () => true,
    () => false,
  );
  await platform.end('SIGTERM');
  const sum = (pick: (outcome: Outcome) => number) => outcomes.reduce((total, each) => total + pick(each), 0);
  const slowest = outcomes.reduce((worst, each) => (each.seconds > worst.seconds ? each : worst));
  return {
    counts: [
      { what: 'scripts cancelled', is: outcomes.length, wanted: counts.scripts },
      { what: 'kinds of scripts', is: new Set(outcomes.map(({ name }) => name)).size },
      { what: 'processes that they started', is: sum(({ born }) => born) },
      {
        what: 'scripts of which a process was left',
        is: sum(({ seconds }) => (Number.isFinite(seconds) ? 0 : 1)),
        wanted: 0,
      },
      {
        what: `scripts of which a process was left ${limit} s after the cancel`,
        is: sum(({ seconds }) => (seconds > limit ? 1 : 0)),
        wanted: 0,
      },
      {
        what: `milliseconds from the cancel to the last process's end, at most (${slowest.name})`,
        is: Math.round(slowest.seconds * 1000),
      },
      { what: 'platforms that are ready afterwards', is: isHealthy ? 1 : 0, wanted: 1 },
      { what: 'processes left when the platform has ended', is: folder.processes().length, wanted: 0 },
    ],
    faults: outcomes.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`)),
  };
}

interface HostileRun {
  readonly name: string;
  readonly number: number;
  readonly lifeLine: LifeLine;
  /** Seconds after the cancel at which none of its processes may be left. */
  readonly limit: number;
}

async function cancelled(
  stress: Stress,
  { client }: TestPlatform,
  { name, number, lifeLine, limit }: HostileRun,
): Promise<Outcome> {
  const { id } = await client.submit({
    scriptName: `${name}-${number}.py`,
    script: `${PRELUDE}\n${HOSTILE_SCRIPTS[name]}`,
    experimentName: 'hostile',
    modelName: 'hostile',
    graceSeconds: GRACE_SECONDS,
    environmentVariables: [
      { name: 'LIFE_LINE', value: lifeLine.path },
      { name: 'OUTER_PID_NAMESPACE', value: readlinkSync('/proc/self/ns/pid') },
    ],
  });
  const job = new FollowedJob(client, id, AbortSignal.any([stress.signal, AbortSignal.timeout(JOB_LIMIT_MS)]));
  const faults: string[] = [];
  await poll(
    () => lifeLine.look(),
    ({ born }) => born > 0,
    JOB_LIMIT_MS,
  );
  await delay(stress.random.between(0, SPAN_MS));
  const cancelledAt = performance.now();
  await client.cancel(id, 'enough');
  const gone = poll(
    () => lifeLine.look(),
    ({ isHeld }) => !isHeld,
    GONE_LIMIT_MS,
  ).then(
    () => (performance.now() - cancelledAt) / 1000,
    () => Number.POSITIVE_INFINITY,
  );
  try {
    await job.ended;
    const { status } = await client.job(id);
    if (status !== 'CANCELLED') faults.push(`it ended as ${status}`);
    if (!job.received.isWhole) faults.push("its lines are not those of the end record's digest");
  } catch (error) {
    faults.push(messageOf(error));
  }
  const seconds = await gone;
  if (seconds > limit) faults.push(`its last process ended ${seconds.toFixed(1)} s after the cancel`);
  return { name, born: lifeLine.look().born, seconds, faults };
}
