import { setTimeout as delay } from 'node:timers/promises';
import type { DataFolder, TestPlatform } from '../test/support/data-folder.ts';
import { poll } from '../test/support/poll.ts';
import { processesOf } from '../test/support/processes.ts';
import { AliasMoves } from './support/alias-moves.ts';
import { type Asked, Clients } from './support/clients.ts';
import type { Count, Proof, Proven } from './support/proof.ts';
import { MODEL, SLOW_MODEL, saidBy, saidBySlow, trainServed, VERSIONS } from './support/served-models.ts';
import type { Stress } from './support/stress.ts';
import { Tally } from './support/tally.ts';

/** For so long after a kill or a move nothing is answered: something is wrong. */
const STALLED_MS = 120_000;
/** Each kill, move or end comes up to so long after what was waited for. */
const SPAN_MS = 1_500;
/** A request that was begun so long before the signal is in the platform's hands. */
const READ_MS = 50;
const ALIAS = 'champion';

export const serving: Proof = {
  name: 'serving',
  title: 'Predictions while processes are killed, an alias moves, and the platform ends',
  prove: (stress) => proveServing(stress, { clients: 8, kills: 60, moves: 60, ends: 15 }),
};

interface ServingCounts {
  /** Clients that ask all the time. */
  readonly clients: number;
  /** Kills of the process that serves the model. */
  readonly kills: number;
  /** Moves of the alias by which the model is asked for. */
  readonly moves: number;
  /** Orderly ends of the platform. */
  readonly ends: number;
}

/** Whatever happens, a request is answered rightly, or refused in a way that says to ask again. */
export async function proveServing(stress: Stress, counts: ServingCounts): Promise<Proven> {
  const folder = await stress.folder();
  const parts: Proven[] = [];
  {
    await using platform = await folder.start();
    await platform.ready();
    await trainServed(platform);
    parts.push(await proveKilled(stress, platform, counts));
    parts.push(await proveMoved(stress, platform, counts));
    await platform.end('SIGTERM');
  }
  parts.push(await proveEnded(stress, folder, counts));
  return { counts: parts.flatMap((part) => part.counts), faults: parts.flatMap((part) => part.faults) };
}

/** The process that serves a version is killed again and again. */
async function proveKilled(stress: Stress, { url }: TestPlatform, counts: ServingCounts): Promise<Proven> {
  const tally = new Tally('while processes are killed');
  const onEnd = (asked: Asked) => tally.take(asked);
  const killed = new Set<number>();
  {
    const load = { ...loadOf(stress, url, counts), model: MODEL, version: '1', expected: saidBy, onEnd };
    await using clients = new Clients(load);
    for (let kill = 0; kill < counts.kills; kill += 1) {
      await clients.answer();
      await delay(stress.random.between(0, SPAN_MS), undefined, { signal: stress.signal });
      await killOne(killed);
      stress.say(`kill ${kill + 1} of ${counts.kills}; ${tally.refused} requests refused so far`);
    }
    await clients.answer();
  }
  return {
    counts: [{ what: 'processes of a model killed', is: killed.size, wanted: counts.kills }, ...tally.counts],
    faults: tally.faults,
  };
}

async function killOne(killed: Set<number>): Promise<void> {
  // As in the environment of the process: the kernel ends each variable with a zero.
  const variable = `ASGARD_MODEL_URI=models:/${MODEL}/1\0`;
  const living = () => processesOf(variable).filter(({ pid }) => !killed.has(pid));
  for (;;) {
    const [found] = await poll(living, (processes) => processes.length > 0, STALLED_MS);
    if (found === undefined) continue;
    try {
      process.kill(found.pid, 'SIGKILL');
      killed.add(found.pid);
      return;
    } catch {
      // It has just ended by itself, with the one that was killed before it.
    }
  }
}

/** The alias by which all ask moves from version to version, each time when the one before has answered. */
async function proveMoved(stress: Stress, platform: TestPlatform, counts: ServingCounts): Promise<Proven> {
  const { registry } = platform.client;
  const tally = new Tally('while an alias moves');
  const engines = new Map<string, string>(Object.entries(VERSIONS));
  const versions = [...engines.keys()];
  const moves = new AliasMoves(versions[0] ?? '');
  await registry.setAlias(MODEL, ALIAS, moves.current);
  const answers = new Map<string, number>();
  let [untimely, otherEngine] = [0, 0];
  const onEnd = (asked: Asked) => {
    tally.take(asked);
    if (!('version' in asked.outcome)) return;
    const { version, engine } = asked.outcome;
    answers.set(version, (answers.get(version) ?? 0) + 1);
    if (!moves.take({ ...asked, version })) untimely += 1;
    if (engines.get(version) !== engine) otherEngine += 1;
  };
  {
    const load = { ...loadOf(stress, platform.url, counts), model: `${MODEL}@${ALIAS}`, expected: saidBy, onEnd };
    await using clients = new Clients(load);
    await clients.answer();
    for (let move = 0; move < counts.moves; move += 1) {
      await delay(stress.random.between(0, SPAN_MS), undefined, { signal: stress.signal });
      const others = versions.filter((version) => version !== moves.current);
      moves.begin(others[stress.random.integer(0, others.length - 1)] ?? '', performance.now());
      await registry.setAlias(MODEL, ALIAS, moves.current);
      await poll(
        () => moves.isSettled,
        (isSettled) => isSettled,
        STALLED_MS,
      );
      stress.say(`move ${move + 1} of ${counts.moves}, to version ${moves.current}`);
    }
    await clients.answer();
  }
  const byVersion = versions.map(
    (version): Count => ({
      what: `answers by version ${version} (${engines.get(version)})`,
      is: answers.get(version) ?? 0,
    }),
  );
  return {
    counts: [
      { what: 'moves of an alias', is: counts.moves },
      ...tally.counts.map((count) => (count.what.startsWith('refused') ? { ...count, wanted: 0 } : count)),
      ...byVersion,
      { what: 'answers by a version that the alias did not name', is: untimely, wanted: 0 },
      { what: "answers by another engine than the version's", is: otherEngine, wanted: 0 },
    ],
    faults: tally.faults,
  };
}

/** The platform is asked to end while requests are in its hands: some wait for a slow model. */
async function proveEnded(stress: Stress, folder: DataFolder, counts: ServingCounts): Promise<Proven> {
  const tally = new Tally('while the platform ends');
  let [inHand, late, unclean, left] = [0, 0, 0, 0];
  for (let end = 0; end < counts.ends; end += 1) {
    await using platform = await folder.start();
    await platform.ready();
    let signalAt = Number.POSITIVE_INFINITY;
    const onEnd = (asked: Asked) => {
      const wasTaken = asked.startedAt < signalAt - READ_MS;
      if (wasTaken && asked.endedAt > signalAt) inHand += 1;
      // A later one may have been meant for a platform that listened no more.
      if (!wasTaken && asked.outcome.kind === 'unanswered') late += 1;
      else tally.take(asked);
    };
    const load = { ...loadOf(stress, platform.url, counts), onEnd };
    {
      await using fast = new Clients({ ...load, model: `${MODEL}@${ALIAS}`, expected: saidBy });
      await using slow = new Clients({ ...load, model: SLOW_MODEL, expected: saidBySlow });
      await Promise.all([fast.answer(), slow.answer()]);
      await delay(stress.random.between(0, SPAN_MS), undefined, { signal: stress.signal });
      signalAt = performance.now();
      if ((await platform.end('SIGTERM')).code !== 0) unclean += 1;
    }
    left += folder.processes().length;
    stress.say(`end ${end + 1} of ${counts.ends}; ${inHand} requests were in hand so far, ${tally.refused} refused`);
  }
  return {
    counts: [
      { what: 'orderly ends of the platform', is: counts.ends },
      { what: 'requests in its hands at the signal', is: inHand },
      ...tally.counts,
      { what: 'requests that found it gone', is: late },
      { what: 'ends with another exit code than 0', is: unclean, wanted: 0 },
      { what: 'processes left', is: left, wanted: 0 },
    ],
    faults: tally.faults,
  };
}

function loadOf({ random }: Stress, url: string, { clients }: ServingCounts) {
  return { url, count: clients, random };
}
