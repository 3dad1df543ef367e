import { randomInt } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { proveDatabaseAway } from '../../stress/database-away.ts';
import { proveDisconnects } from '../../stress/disconnects.ts';
import { proveHostile } from '../../stress/hostile.ts';
import { proveKills } from '../../stress/kills.ts';
import { proveRace } from '../../stress/race.ts';
import { proveServing } from '../../stress/serving.ts';
import { countLine, type Proven, shortfalls } from '../../stress/support/proof.ts';
import { Stress } from '../../stress/support/stress.ts';

/** What `npm run stress` does, with small counts. */
describe.sequential('under stress', { timeout: 600_000 }, () => {
  test.each<[string, (stress: Stress) => Promise<Proven>]>([
    [
      'followers whose connections break get every line once',
      (stress) => proveDisconnects(stress, { lines: 3_000, disconnects: 30 }),
    ],
    [
      'jobs end right whatever they were doing when the platform was killed',
      (stress) => proveKills(stress, { kills: 6 }),
    ],
    ['four workers on one database start no job twice', (stress) => proveRace(stress, { jobs: 60 })],
    [
      'jobs and followers go on once their database is back',
      (stress) => proveDatabaseAway(stress, { seconds: 2, jobs: 2 }),
    ],
    [
      'no process is left of hostile scripts that were cancelled',
      (stress) => proveHostile(stress, { scripts: 6, slackSeconds: 10 }),
    ],
    [
      'predictions are right or refused while processes are killed, an alias moves and the platform ends',
      (stress) => proveServing(stress, { clients: 4, kills: 5, moves: 6, ends: 2 }),
    ],
  ])('%s', async (_what, prove) => {
    const seed = randomInt(2 ** 31);
    await using stress = new Stress({ seed, say: console.info });
    const proven = await prove(stress);
    console.info([`seed ${seed}`, ...proven.counts.map(countLine)].join('\n'));
    expect(shortfalls(proven), `seed ${seed}`).toEqual([]);
  });
});
