import { execFile } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { AsgardClient } from '../src/client/client.ts';
import { messageOf } from '../src/platform/errors.ts';
import { type DataFolder, type TestPlatform, TOOLCHAIN } from '../test/support/data-folder.ts';
import { poll } from '../test/support/poll.ts';
import { FollowedJob } from './support/followed-job.ts';
import { Gate } from './support/gate.ts';
import { LifeLine } from './support/life-line.ts';
import { LINES, PHASES, type Phase, phaseAt, scriptOf } from './support/phases.ts';
import type { Proof, Proven } from './support/proof.ts';
import type { Stress } from './support/stress.ts';

const SLOTS = 2;
/** A moment that was not in its phase is tried again, with another job, so often. */
const TRIES = 5;
const JOB_LIMIT_MS = 300_000;
/** Each makes another lock of the same packages, and so another environment: as many as there may be tries to kill a build. */
const REQUIREMENTS = ['1.16.0', '1.15.0', '1.14.0', '1.13.0', '1.12.0', '1.11.0', '1.10.0'].flatMap((six) =>
  ['2.1.0', '2.0.0', '1.1.1'].map((iniconfig) => [`six==${six}`, `iniconfig==${iniconfig}`]),
);

export const kills: Proof = {
  name: 'kills',
  title: 'kill -9 of the platform at random moments of a job',
  prove: (stress) => proveKills(stress, { kills: 20 }),
};

/** Each kill meets a job in the next of the phases; the platform is started again, and the job has to end as it would have. */
export async function proveKills(stress: Stress, counts: { readonly kills: number }): Promise<Proven> {
  await using trial = await Trial.begin(stress);
  let hits = 0;
  for (let index = 0; index < counts.kills; index += 1) {
    const phase = PHASES[index % PHASES.length] as Phase; // there is one
    for (let tries = 0; tries < TRIES; tries += 1) {
      stress.signal.throwIfAborted();
      const met = await trial.kill(phase);
      stress.say(
        `kill ${index + 1} of ${counts.kills}, meant for a job that is ${phase.name}: it was ${met ?? 'over'}`,
      );
      if (met !== phase.name) continue;
      hits += 1;
      break;
    }
  }
  const { kills: killed, jobs, faults, left, halfMade } = await trial.end();
  const wrong = new Set(faults.map(([job]) => job)).size;
  return {
    counts: [
      { what: 'kills in the phase that they were meant for', is: hits, wanted: counts.kills },
      { what: 'kills in all', is: killed },
      { what: 'jobs', is: jobs },
      { what: 'jobs that did not end right', is: wrong, wanted: 0 },
      { what: 'processes left', is: left, wanted: 0 },
      { what: 'half-made environments left', is: halfMade, wanted: 0 },
    ],
    faults: faults.map(([job, fault]) => `${job}: ${fault}`),
  };
}

/** A data folder whose platform is killed again and again, and the jobs that it was killed at. */
class Trial implements AsyncDisposable {
  readonly #stress: Stress;
  readonly #folder: DataFolder;
  /** What scripts write to and wait for. */
  readonly #outside: string;
  readonly #client: AsgardClient;
  readonly #variables: NodeJS.ProcessEnv;
  readonly #checks: Promise<void>[] = [];
  readonly #faults: [job: string, fault: string][] = [];
  #platform: TestPlatform;
  #jobs = 0;
  #kills = 0;
  #builds = 0;

  static async begin(stress: Stress): Promise<Trial> {
    const folder = await stress.folder();
    // Environments of its own, so that some are built; the one of all other jobs is there already, where it can be linked.
    const environments = join(folder.path, 'environments');
    await mkdir(environments, { recursive: true, mode: 0o700 });
    await promisify(execFile)('cp', ['-al', `${join(TOOLCHAIN, 'environments')}/.`, environments]).catch(() => {});
    const variables = {
      ASGARD_ENVIRONMENTS: environments,
      ASGARD_WORKER_SLOTS: String(SLOTS),
    };
    const platform = await folder.start(variables);
    await platform.ready();
    // Scripts and followers find the next platform where this one was.
    const [PORT, MLFLOW_PORT] = [platform.url, platform.mlflowUrl].map((url) => new URL(url).port);
    return new Trial(stress, folder, await stress.meetingPlace(), platform, { ...variables, PORT, MLFLOW_PORT });
  }

  private constructor(
    stress: Stress,
    folder: DataFolder,
    outside: string,
    platform: TestPlatform,
    variables: NodeJS.ProcessEnv,
  ) {
    this.#stress = stress;
    this.#folder = folder;
    this.#outside = outside;
    this.#platform = platform;
    this.#variables = variables;
    this.#client = new AsgardClient({ url: platform.url, giveUpAfterMs: JOB_LIMIT_MS });
  }

  /** Kills the platform at a job that should be in the phase. @returns the phase in which it was; null: it had ended */
  async kill(phase: Phase): Promise<Phase['name'] | null> {
    await using busy = phase.name === 'queued' ? await this.#fillSlots() : null;
    this.#jobs += 1;
    const name = `${phase.name}-${this.#jobs}`;
    const lifeLine = await LifeLine.make(this.#outside, name);
    const job = await this.#submit(
      name,
      scriptOf(phase, lifeLine.path),
      phase.name === 'building' ? this.#newEnvironment() : [],
    );
    this.#checks.push(this.#check(phase, name, job, lifeLine));
    await job.first(phase.isBegunBy);
    await delay(this.#stress.random.between(0, phase.spanMs));
    const killedAt = Date.now();
    await this.#platform.end('SIGKILL');
    this.#kills += 1;
    this.#platform = await this.#folder.start(this.#variables);
    await this.#platform.ready();
    await busy?.[Symbol.asyncDispose]();
    await this.#checks.at(-1);
    return phaseAt(job.events, killedAt);
  }

  /** Waits for all jobs and ends the platform. */
  async end() {
    await Promise.all(this.#checks);
    await this.#platform.end('SIGTERM');
    const left = this.#folder.processes().length;
    const halfMade = (await readdir(this.#variables['ASGARD_ENVIRONMENTS'] ?? '')).filter((name) =>
      name.startsWith('.partial-'),
    ).length;
    return { kills: this.#kills, jobs: this.#jobs, faults: this.#faults, left, halfMade };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.#platform[Symbol.asyncDispose]();
  }

  /** Keeps all slots busy until it is disposed of. */
  async #fillSlots(): Promise<AsyncDisposable> {
    const gate = await Gate.make(this.#outside, `gate-${this.#jobs}`);
    const ended: Promise<void>[] = [];
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const job = await this.#submit('busy', `print("busy")\n${gate.python}`);
      ended.push(job.ended);
    }
    this.#checks.push(Promise.all(ended).then(() => gate[Symbol.dispose]()));
    return { [Symbol.asyncDispose]: async () => gate.open(SLOTS) };
  }

  /** Requirements that no job had yet. */
  #newEnvironment(): string[] {
    const requirements = REQUIREMENTS[this.#builds];
    if (requirements === undefined) throw new Error(`there are only ${REQUIREMENTS.length} environments to build`);
    this.#builds += 1;
    return requirements;
  }

  async #submit(name: string, script: string, requirements: readonly string[] = []): Promise<FollowedJob> {
    const { id } = await this.#client.submit({
      scriptName: `${name}.py`,
      script,
      experimentName: 'stress',
      modelName: name,
      requirements: [...requirements],
    });
    return new FollowedJob(this.#client, id, AbortSignal.any([this.#stress.signal, AbortSignal.timeout(JOB_LIMIT_MS)]));
  }

  /** Whether a job ended as if nothing had been. */
  async #check(phase: Phase, name: string, job: FollowedJob, lifeLine: LifeLine): Promise<void> {
    using line = lifeLine;
    const expect = (what: string, is: unknown, wanted: unknown) => {
      const [seen, wished] = [JSON.stringify(is), JSON.stringify(wanted)];
      if (seen !== wished) this.#faults.push([name, `${what}: ${seen}, not ${wished}`]);
    };
    try {
      await job.ended;
      const { events, received } = job;
      const statuses = events.flatMap((event) => (event.__typename === 'StatusChanged' ? [event.status] : []));
      expect('statuses', statuses, ['QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED']);
      expect('events lost', received.lost, 0);
      expect('events repeated', received.repeated, 0);
      expect("digest equal to the end record's", received.isWhole, true);
      const lines = events.flatMap((event) =>
        event.__typename === 'LogLine' && /^line /.test(event.text) ? [event.text] : [],
      );
      expect(
        'lines',
        lines,
        Array.from({ length: LINES }, (_item, number) => `line ${number}`),
      );
      const metrics = events.flatMap((event) => (event.__typename === 'MetricLogged' ? [event.step] : []));
      expect('steps of its metric', metrics, phase.each === undefined ? [] : [...Array(LINES).keys()]);
      const versions = phase.name === 'registering' ? 1 : 0;
      expect('registrations', events.filter(({ __typename }) => __typename === 'ModelRegistered').length, versions);
      expect('versions in the registry', await this.#versionsOf(name, versions), versions);
      const { born } = await poll(
        () => line.look(),
        ({ isHeld }) => !isHeld,
        60_000,
      );
      expect('starts of the script', born, 1);
    } catch (error) {
      this.#faults.push([name, messageOf(error)]);
    }
  }

  async #versionsOf(model: string, expected: number): Promise<number> {
    if (expected > 0) return (await Array.fromAsync(this.#client.allModelVersions(model))).length;
    return this.#client.model(model).then(
      () => 1,
      () => 0,
    );
  }
}
