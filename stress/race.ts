import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { z } from 'zod';
import { ManagedMlflow } from '../src/embedded/mlflow-server.ts';
import { EmbeddedPostgres } from '../src/embedded/postgres.ts';
import { toolchainPython } from '../src/python/environments.ts';
import { type TestPlatform, TOOLCHAIN } from '../test/support/data-folder.ts';
import type { Count, Proof, Proven } from './support/proof.ts';
import { ScriptPipe } from './support/script-pipe.ts';
import type { Stress } from './support/stress.ts';

const WORKERS = 4;
const SLOTS = 2;
/** Submissions that are under way at once at each platform. */
const SUBMITTERS = 4;
const LOOK_MS = 500;
/** For so long no job ends: something is wrong. */
const STALLED_MS = 120_000;

/** The line is written at a stroke, outside of all that the platform counts. */
const SCRIPT = `
import os
os.write(os.open(os.environ["STARTS"], os.O_WRONLY), (os.environ["NUMBER"] + "\\n").encode())
`;

export const race: Proof = {
  name: 'race',
  title: `${WORKERS} workers that race for jobs in one database`,
  prove: (stress) => proveRace(stress, { jobs: 1_000 }),
};

/** Four platforms on one database take whatever jobs are there; each script says that it was started. */
export async function proveRace(stress: Stress, counts: { readonly jobs: number }): Promise<Proven> {
  const outside = await stress.folder();
  using starts = await ScriptPipe.make(await stress.meetingPlace(), 'starts');
  await using postgres = await EmbeddedPostgres.start({
    folder: join(outside.path, 'postgres'),
    logFile: join(outside.path, 'postgres.log'),
  });
  await using mlflow = await ManagedMlflow.start({
    python: toolchainPython(TOOLCHAIN),
    databaseUrl: postgres.url('mlflow'),
    artifactsFolder: join(outside.path, 'artifacts'),
    logFile: join(outside.path, 'mlflow.log'),
  });
  await mlflow.ready;
  await using stack = new AsyncDisposableStack();
  const variables = {
    DATABASE_URL: postgres.url('asgard'),
    MLFLOW_TRACKING_URI: mlflow.url,
    ASGARD_WORKER_SLOTS: String(SLOTS),
  };
  const platforms: TestPlatform[] = [];
  // One after the other, as a deployment would: the first makes the tables.
  for (let worker = 0; worker < WORKERS; worker += 1) {
    const platform = stack.use(await (await stress.folder()).start(variables));
    await platform.ready();
    platforms.push(platform);
  }
  await submitAll(platforms, counts.jobs, starts.path);
  const faults = await untilEnded(stress, platforms, counts.jobs);
  const numbers = starts.read().text.trimEnd().split('\n');
  const { completed, attempts, places } = await inDatabase(postgres.url('asgard'));
  return {
    counts: [
      { what: 'jobs', is: counts.jobs },
      { what: 'workers that took part', is: places.length, wanted: WORKERS },
      ...places.map((taken, index): Count => ({ what: `jobs taken by worker ${index + 1}`, is: taken })),
      { what: 'starts that the scripts wrote down', is: numbers.length, wanted: counts.jobs },
      { what: 'double starts', is: numbers.length - new Set(numbers).size, wanted: 0 },
      { what: 'attempts in the database', is: attempts, wanted: counts.jobs },
      { what: 'jobs completed', is: completed, wanted: counts.jobs },
    ],
    faults,
  };
}

/** Hands the jobs in at all platforms at once. */
async function submitAll(platforms: readonly TestPlatform[], jobs: number, starts: string): Promise<void> {
  let next = 0;
  const submitter = async ({ client }: TestPlatform) => {
    while (next < jobs) {
      const number = next++;
      await client.submit({
        scriptName: 'start.py',
        script: SCRIPT,
        experimentName: 'race',
        modelName: 'race',
        environmentVariables: [
          { name: 'STARTS', value: starts },
          { name: 'NUMBER', value: String(number) },
        ],
      });
    }
  };
  await Promise.all(platforms.flatMap((platform) => Array.from({ length: SUBMITTERS }, () => submitter(platform))));
}

/** @returns what is wrong, when jobs end no more */
async function untilEnded(stress: Stress, platforms: readonly TestPlatform[], jobs: number): Promise<string[]> {
  const [{ client } = { client: undefined }] = platforms;
  if (client === undefined) throw new Error('there is no platform');
  let [ended, changedAt] = [0, Date.now()];
  while (ended < jobs) {
    await delay(LOOK_MS, undefined, { signal: stress.signal });
    const now = await client.countJobs({ statuses: ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST'] });
    if (Math.floor(now / 100) > Math.floor(ended / 100)) stress.say(`${now} of ${jobs} jobs have ended`);
    if (now > ended) [ended, changedAt] = [now, Date.now()];
    if (Date.now() - changedAt > STALLED_MS) return [`${jobs - ended} jobs do not end`];
  }
  return [];
}

/** What the platforms themselves wrote down. */
async function inDatabase(url: string): Promise<{ completed: number; attempts: number; places: number[] }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const jobs = await client.query(`SELECT count(*)::int FROM training_jobs WHERE status = 'COMPLETED'`);
    const taken = await client.query('SELECT count(*)::int FROM job_attempts GROUP BY place ORDER BY place');
    const row = z.object({ count: z.int() });
    const places = taken.rows.map((each) => row.parse(each).count);
    return {
      completed: row.parse(jobs.rows[0]).count,
      attempts: places.reduce((sum, each) => sum + each, 0),
      places,
    };
  } finally {
    await client.end();
  }
}
