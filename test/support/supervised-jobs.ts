import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import type { TrainingJob } from '../../src/database/generated/client.ts';
import { LocalExecutor } from '../../src/executors/local.ts';
import { VersionChecks } from '../../src/inference/check/version-checks.ts';
import { readEvents } from '../../src/jobs/event-store.ts';
import type { NumberedJobEvent } from '../../src/jobs/events.ts';
import { type Claim, claimJobs, takeOverAttempts, type Worker } from '../../src/jobs/queue.ts';
import { JobService } from '../../src/jobs/service.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { ModelFiles } from '../../src/models/model-files.ts';
import { ModelService } from '../../src/models/service.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { PythonEnvironments, toolchainPython } from '../../src/python/environments.ts';
import type { ControlMessage } from '../../src/worker/messages.ts';
import { Supervision } from '../../src/worker/supervision.ts';
import type { SupervisorContext } from '../../src/worker/supervisor-context.ts';
import { DatabasesForTests, type TestDatabase } from './databases.ts';
import { CAN_BE_APART } from './isolation.ts';
import { type MlflowForTests, startMlflow } from './mlflow-for-tests.ts';
import { outputTexts, readAllEvents } from './output.ts';
import { poll } from './poll.ts';
import { processesWith } from './processes-by-argument.ts';
import { runnerPidOf } from './runner-pid.ts';
import { SUBMISSION } from './submission.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);
/** The first run on a fresh clone builds the base environment. */
export const SUPERVISION_LIMIT_MS = 220_000;

/** Ignores being asked to end. What ends it is what a test is about: by itself it does not before the test's time is over. */
export const STUBBORN = `import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
`;

/** A job that a worker has claimed and supervises. */
export interface Supervised {
  readonly id: string;
  readonly claim: Claim;
  /** Asks the supervision for something, as the worker does. */
  readonly tell: (message: ControlMessage) => void;
  /** Resolves with the job and all its events once the supervision is over. */
  readonly ended: Promise<{ job: TrainingJob; events: NumberedJobEvent[] }>;
}

/** A PostgreSQL and an MLflow of a test file's own, for jobs that are supervised without a platform. */
class SupervisionForTests implements AsyncDisposable {
  readonly mlflow: MlflowForTests;
  readonly #databases: DatabasesForTests;
  readonly #home: string;
  #count = 0;

  static async start(): Promise<SupervisionForTests> {
    const home = await mkdtemp(join(tmpdir(), 'asgard-supervision-'));
    const [databases, mlflow] = await Promise.all([DatabasesForTests.start(), startMlflow()]);
    return new SupervisionForTests(databases, mlflow, home);
  }

  private constructor(databases: DatabasesForTests, mlflow: MlflowForTests, home: string) {
    this.#databases = databases;
    this.mlflow = mlflow;
    this.#home = home;
  }

  /** Of one test: on a database and with a folder of its own, in which nothing else can leave anything. */
  async jobs(): Promise<SupervisedJobs> {
    this.#count += 1;
    const home = join(this.#home, String(this.#count));
    const folder = join(home, 'runs');
    await mkdir(folder, { recursive: true });
    return new SupervisedJobs(await this.#databases.create(), this.mlflow, home, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mlflow[Symbol.asyncDispose]();
    await this.#databases[Symbol.asyncDispose]();
    await rm(this.#home, { recursive: true, force: true });
  }
}

/** Gives each test of the calling file its own jobs, and ends them after it. */
export function superviseEachTest(take: (jobs: SupervisedJobs) => void): void {
  let supervision: SupervisionForTests;
  beforeAll(async () => {
    supervision = await SupervisionForTests.start();
  });
  afterAll(() => supervision?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    const jobs = await supervision.jobs();
    take(jobs);
    return () => jobs[Symbol.asyncDispose]();
  });
}

/** The jobs of one test. */
export class SupervisedJobs implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly jobs: JobService;
  /** Of the runs. */
  readonly folder: string;
  readonly executor: LocalExecutor;
  readonly context: SupervisorContext;
  readonly #client: MlflowClient;

  constructor(database: TestDatabase, mlflow: MlflowForTests, home: string, folder: string) {
    this.database = database;
    this.folder = folder;
    this.jobs = new JobService(database.client);
    this.executor = new LocalExecutor({
      folder,
      python: toolchainPython(toolchain),
      isolation: CAN_BE_APART ? 'namespaces' : 'none',
    });
    this.#client = new MlflowClient({ baseUrl: () => mlflow.url });
    const parts = {
      database: database.client,
      executor: this.executor,
      environments: new PythonEnvironments({ folder: join(toolchain, 'environments'), toolchain }),
      mlflow: this.#client,
      logger: createLogger('silent', false),
    };
    const files = new ModelFiles({ mlflow: this.#client, folder: join(home, 'model-files'), limitBytes: 2 ** 30 });
    this.context = {
      ...parts,
      models: new ModelService(this.#client),
      checks: new VersionChecks({ ...parts, files, limitSeconds: 60 }),
      keepsTrainingRows: true,
      outputLimitBytes: 1024 * 1024,
      gatewayUrl: mlflow.url,
      dataFolder: join(home, 'data'),
    };
  }

  /** A worker of this machine. */
  worker(id = 'worker', { executor } = this.context): Worker {
    const { machine, place, placeId } = executor;
    return { id, machine, place, placeId };
  }

  /** Hands a script in, whose processes have the job's id among their arguments, and claims it. */
  async claim(script: string, changes: Partial<typeof SUBMISSION> = {}, by = this.context): Promise<Claim> {
    const { id } = await this.jobs.submit({ ...SUBMISSION, script, ...changes });
    await this.database.client.trainingJob.update({ where: { id }, data: { scriptName: scriptNameOf(id) } });
    const claim = await this.claimNext(by);
    if (claim.jobId !== id) throw new Error('another job was claimed');
    return claim;
  }

  /** @throws when nothing waits in the queue */
  async claimNext(by = this.context): Promise<Claim> {
    const [claim] = await claimJobs(this.database.client, this.worker('worker', by), 1);
    if (claim === undefined) throw new Error('nothing was claimed');
    return claim;
  }

  /** By the next worker. @throws when nothing is to be taken over */
  async takeOver(worker = 'next'): Promise<Claim> {
    const [claim] = await takeOverAttempts(this.database.client, this.worker(worker), []);
    if (claim === undefined) throw new Error('there was nothing to take over');
    return claim;
  }

  async supervise(script: string, changes: Partial<typeof SUBMISSION> = {}, by = this.context): Promise<Supervised> {
    return this.goOn(await this.claim(script, changes, by), by);
  }

  /** Supervises what was claimed, or taken over. */
  goOn(claim: Claim, by = this.context): Supervised {
    const { jobId: id } = claim;
    const { port1, port2 } = new MessageChannel();
    const ended = this.#supervised(claim, by, port1, port2);
    ended.catch(() => {}); // of a test that has failed before nobody looks at it
    return { id, claim, tell: (message) => port1.postMessage(message), ended };
  }

  async #supervised(claim: Claim, by: SupervisorContext, control: MessagePort, supervised: MessagePort) {
    try {
      await new Supervision(by, claim, supervised).run();
    } finally {
      control.close();
    }
    const job = await this.jobs.get(claim.jobId);
    return { job, events: await readAllEvents(this.database.client, claim.jobId) };
  }

  /** Resolves once the job's script has printed the line. */
  async printed(id: string, text: string): Promise<void> {
    await poll(
      () => readEvents(this.database.client, id, 0, 1000),
      (events) => outputTexts(events).includes(text),
      SUPERVISION_LIMIT_MS,
    );
  }

  /** Of the first attempt's runner. */
  runnerPid(id: string): Promise<number> {
    return runnerPidOf(join(this.folder, id, '1'));
  }

  /** Where the script of the first attempt works. */
  workFolderOf(id: string): string {
    return join(this.folder, id, '1', 'work');
  }

  /** Makes a file there, which the script waits for. */
  async give(id: string, name: string): Promise<void> {
    await writeFile(join(this.workFolderOf(id), name), '');
  }

  /** The job's script, and all that came out of it and bears its arguments. */
  processesOf(id: string): Promise<number[]> {
    return processesWith(scriptNameOf(id));
  }

  /** Resolves once none of them is left. */
  async gone(id: string): Promise<void> {
    await poll(
      () => this.processesOf(id),
      (pids) => pids.length === 0,
      SUPERVISION_LIMIT_MS,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
  }
}

const scriptNameOf = (id: string) => `${id}.py`;

export const statusesOf = (events: readonly NumberedJobEvent[]) =>
  events.flatMap((event) => (event.type === 'status' ? [event.status] : []));
