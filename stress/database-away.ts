import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AsgardClient } from '../src/client/client.ts';
import { EmbeddedPostgres } from '../src/embedded/postgres.ts';
import { messageOf } from '../src/platform/errors.ts';
import { poll } from '../test/support/poll.ts';
import { killIfThere, processesOf } from '../test/support/processes.ts';
import { FollowedJob } from './support/followed-job.ts';
import type { Proof, Proven } from './support/proof.ts';
import type { Stress } from './support/stress.ts';

const SUBMIT_EVERY_MS = 250;
/** How long it may take until lines flow again. */
const RECOVERY_LIMIT_MS = 120_000;
const JOB_LIMIT_MS = 240_000;

/** Prints until it is told to end, whatever happens to the platform. */
const scriptUntil = (gate: string) => `
import itertools, os, time
for number in itertools.count():
    print("line", number)
    time.sleep(0.005)
    if number % 20 == 0 and os.path.exists(${JSON.stringify(gate)}):
        break
`;

export const databaseAway: Proof = {
  name: 'database-away',
  title: 'PostgreSQL is stopped under load',
  prove: (stress) => proveDatabaseAway(stress, { seconds: 10, jobs: 4 }),
};

/** Jobs print and are followed while their database stands still for so long, and then while it is shut down for so long. */
export async function proveDatabaseAway(
  stress: Stress,
  counts: { readonly seconds: number; readonly jobs: number },
): Promise<Proven> {
  const folder = await stress.folder();
  const gate = join(await stress.meetingPlace(), 'end');
  await using database = await Database.start(folder.parent);
  await using platform = await folder.start({
    DATABASE_URL: database.url,
    ASGARD_WORKER_SLOTS: String(counts.jobs + 1),
  });
  await platform.ready();
  await using client = new AsgardClient({
    url: platform.url,
    giveUpAfterMs: RECOVERY_LIMIT_MS,
    timeoutMs: RECOVERY_LIMIT_MS,
  });
  const submit = async (script: string) => {
    const names = { scriptName: 'script.py', experimentName: 'stress', modelName: 'stress' };
    const { id } = await client.submit({ ...names, script, timeoutSeconds: 600 });
    return new FollowedJob(client, id, AbortSignal.any([stress.signal, AbortSignal.timeout(JOB_LIMIT_MS)]));
  };
  const jobs = await Promise.all(Array.from({ length: counts.jobs }, () => submit(scriptUntil(gate))));
  const anyMore = (job: FollowedJob) => {
    const { lines } = job.received;
    return () => job.received.lines > lines;
  };
  await poll(
    () => jobs.filter(({ received }) => received.lines > 20).length,
    (count) => count === jobs.length,
    RECOVERY_LIMIT_MS,
  );
  const submitting = new Submitting(() => submit('print("small")'));

  const recoveries: number[] = [];
  for (const [what, away, back] of [
    ['stands still', () => database.freeze(), () => database.thaw()],
    ['is shut down', () => database.stop(), () => database.startAgain()],
  ] as const) {
    stress.say(`PostgreSQL ${what} for ${counts.seconds} s`);
    await away();
    await delay(counts.seconds * 1000, undefined, { signal: stress.signal });
    const isFlowing = jobs.map(anyMore);
    await back();
    const backAt = performance.now();
    await poll(
      () => isFlowing.filter((flows) => flows()).length,
      (count) => count === jobs.length,
      RECOVERY_LIMIT_MS,
    );
    recoveries.push(performance.now() - backAt);
  }
  const { accepted, refusals } = await submitting.stop();
  await writeFile(gate, '');

  const faults: string[] = [];
  for (const job of [...jobs, ...accepted]) {
    await job.ended.catch((error: unknown) => faults.push(`job ${job.id}: ${messageOf(error)}`));
    const { status, error } = await client.job(job.id);
    if (status !== 'COMPLETED') faults.push(`job ${job.id} is ${status}: ${error}`);
    const { last, line } = lastLineOf(job);
    if (jobs.includes(job) && line !== `line ${last}`)
      faults.push(`job ${job.id}: line ${last} is ${JSON.stringify(line)}`);
  }
  const all = [...jobs, ...accepted];
  const sum = (pick: (job: FollowedJob) => number) => all.reduce((total, job) => total + pick(job), 0);
  return {
    counts: [
      { what: 'seconds that PostgreSQL stood still, and was shut down', is: counts.seconds },
      { what: 'jobs that printed meanwhile', is: jobs.length },
      { what: 'lines that they printed', is: jobs.reduce((total, { received }) => total + received.lines, 0) },
      { what: 'jobs handed in meanwhile and accepted', is: accepted.length },
      { what: 'jobs handed in meanwhile and refused', is: refusals.length },
      {
        what: 'jobs whose lines are all there, by their digest',
        is: sum(({ received }) => (received.isWhole ? 1 : 0)),
        wanted: all.length,
      },
      { what: 'events lost', is: sum(({ received }) => received.lost), wanted: 0 },
      { what: 'events repeated', is: sum(({ received }) => received.repeated), wanted: 0 },
      { what: 'milliseconds until all lines flowed again after it stood still', is: Math.round(recoveries[0] ?? 0) },
      { what: 'milliseconds until all lines flowed again after it was shut down', is: Math.round(recoveries[1] ?? 0) },
    ],
    faults: [...faults, ...new Set(refusals)].filter((fault) => !fault.startsWith('UNAVAILABLE')),
  };
}

/** The last line that a script printed should be that of its number. */
function lastLineOf({ events }: FollowedJob): { last: number; line: string | undefined } {
  const lines = events.flatMap((event) =>
    event.__typename === 'LogLine' && event.stream !== 'PLATFORM' ? [event.text] : [],
  );
  return { last: lines.length - 1, line: lines.at(-1) };
}

/** Small jobs that are handed in all the time. */
class Submitting {
  readonly #accepted: FollowedJob[] = [];
  readonly #refusals: string[] = [];
  readonly #running: Promise<void>;
  #isOver = false;

  constructor(submit: () => Promise<FollowedJob>) {
    this.#running = this.#run(submit);
  }

  async stop(): Promise<{ accepted: readonly FollowedJob[]; refusals: readonly string[] }> {
    this.#isOver = true;
    await this.#running;
    return { accepted: this.#accepted, refusals: this.#refusals };
  }

  async #run(submit: () => Promise<FollowedJob>): Promise<void> {
    while (!this.#isOver) {
      await submit().then(
        (job) => this.#accepted.push(job),
        (error: unknown) => this.#refusals.push(refusalOf(error)),
      );
      await delay(SUBMIT_EVERY_MS);
    }
  }
}

function refusalOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? `${error.code}: ` : '';
  return `${code}${messageOf(error)}`;
}

/** The PostgreSQL server of the platform's own tables. */
class Database implements AsyncDisposable {
  readonly #folder: string;
  readonly #logFile: string;
  #server: EmbeddedPostgres;

  static async start(parent: string): Promise<Database> {
    const [folder, logFile] = [join(parent, 'postgres'), join(parent, 'postgres.log')];
    return new Database(folder, logFile, await EmbeddedPostgres.start({ folder, logFile }));
  }

  private constructor(folder: string, logFile: string, server: EmbeddedPostgres) {
    this.#folder = folder;
    this.#logFile = logFile;
    this.#server = server;
  }

  get url(): string {
    return this.#server.url('asgard');
  }

  /** Its processes run no more, and its connections stay. */
  freeze(): void {
    // Their working directory is the cluster.
    for (const { pid } of processesOf(this.#folder)) killIfThere(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const { pid } of processesOf(this.#folder)) killIfThere(pid, 'SIGCONT');
  }

  stop(): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }

  /** On the port that it had. */
  async startAgain(): Promise<void> {
    const { port } = this.#server;
    this.#server = await EmbeddedPostgres.start({ folder: this.#folder, logFile: this.#logFile });
    if (this.#server.port !== port) throw new Error(`PostgreSQL is on port ${this.#server.port} and was on ${port}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
