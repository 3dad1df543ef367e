import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PrismaClient } from '../database/generated/client.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { PythonEnvironment, PythonEnvironments } from '../python/environments.ts';
import { LoadSlots } from './load-slots.ts';
import { ModelWorker } from './model-worker.ts';

/** Models that are kept warm; beyond it the one that was used least recently and has nothing to do is ended. */
const MAX_WARM_MODELS = 8;

export interface ModelWorkersOptions {
  readonly database: PrismaClient;
  readonly environments: Pick<PythonEnvironments, 'prepare' | 'prepareLocked'>;
  /** Where workers keep the artifacts that they loaded. */
  readonly folder: string;
  /** Where workers fetch artifacts from. */
  readonly trackingUri: string;
  /** Lets them read there; absent where nobody asks for one. */
  readonly trackingToken?: string;
  readonly logger: Logger;
}

/** What a worker is loaded for: a version of that name and number, made at that time. */
type VersionKey = Pick<ModelVersion, 'name' | 'version' | 'createdAt' | 'runId'>;

interface Entry {
  readonly loading: Promise<ModelWorker>;
  worker?: ModelWorker;
}

/**
 * Warm model workers, one a version, loaded on demand, two at a time. A version that was made anew under the same name
 * and number is another one.
 */
export class ModelWorkers implements AsyncDisposable {
  readonly #options: ModelWorkersOptions;
  /** In the order of their last use, the oldest first. */
  readonly #workers = new Map<string, Entry>();
  readonly #slots = new LoadSlots();
  readonly #stop = new AbortController();

  constructor(options: ModelWorkersOptions) {
    this.#options = options;
  }

  /**
   * The worker of a version, loaded once however many ask. A load that failed is tried again when the next one asks.
   * @throws AsgardError UNAVAILABLE with the reason when its environment cannot be made or it cannot be loaded
   */
  async get(version: VersionKey): Promise<ModelWorker> {
    const key = keyOf(version);
    const known = this.#workers.get(key);
    if (known !== undefined && known.worker?.isEnded !== true) {
      this.#workers.delete(key);
      this.#workers.set(key, known);
      return known.loading;
    }
    const entry: Entry = { loading: this.#slots.run(() => this.#load(version)) };
    this.#workers.set(key, entry);
    try {
      const worker = await entry.loading;
      entry.worker = worker;
      void worker.ended.then(() => this.#drop(key, entry));
      this.#evict();
      return worker;
    } catch (error) {
      this.#drop(key, entry);
      throw error;
    }
  }

  /** How many models are loaded. */
  get warmModels(): number {
    return [...this.#workers.values()].filter(({ worker }) => worker !== undefined).length;
  }

  /** Calls off what loads and ends every worker. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new AsgardError('UNAVAILABLE', 'the platform is shutting down'));
    const entries = [...this.#workers.values()];
    await Promise.allSettled(entries.map(async ({ loading }) => (await loading)[Symbol.asyncDispose]()));
  }

  async #load(version: VersionKey): Promise<ModelWorker> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const { logger, trackingUri, trackingToken } = this.#options;
    const environment = await this.#environmentOf(version);
    const folder = join(this.#options.folder, randomUUID());
    const modelUri = `models:/${version.name}/${version.version}`;
    const event = { name: version.name, version: version.version };
    const clean = () => {
      environment[Symbol.dispose]();
      return rm(folder, { recursive: true, force: true });
    };
    try {
      const tracking = { trackingUri, ...(trackingToken === undefined ? {} : { trackingToken }) };
      const options = { environmentFolder: environment.folder, modelUri, ...tracking, folder, signal };
      const worker = await ModelWorker.load(options);
      logger.info({ ...event, environment: environment.hash }, 'model.loaded');
      void worker.ended.then(async () => {
        logger.info(event, 'model.unloaded');
        await clean();
      });
      return worker;
    } catch (error) {
      await clean();
      throw error;
    }
  }

  /** The environment that the version was trained in; the base environment for a version that no job made. */
  async #environmentOf(version: VersionKey): Promise<PythonEnvironment> {
    const { environments } = this.#options;
    const { signal } = this.#stop;
    const trained = await this.#trainedIn(version);
    try {
      if (trained === null) return await environments.prepare({ requirements: [], signal });
      return await environments.prepareLocked(trained.lock, trained.python, { signal });
    } catch (cause) {
      signal.throwIfAborted();
      const of = `model ${version.name} version ${version.version}`;
      // Whatever it is, the caller's request is not what is wrong.
      throw new AsgardError('UNAVAILABLE', `the environment of ${of} could not be made: ${messageOf(cause)}`, {
        cause,
      });
    }
  }

  /** By the run first: what is known of a name and number may be of a model that was deleted. */
  async #trainedIn({ name, version, runId }: VersionKey) {
    const { database } = this.#options;
    const select = { job: { select: { environment: true } } };
    const run = runId === null ? null : await database.jobRun.findUnique({ where: { runId }, select });
    if (run !== null) return run.job.environment;
    const made = await database.jobModelVersion.findUnique({ where: { name_version: { name, version } }, select });
    return made?.job.environment ?? null;
  }

  #drop(key: string, entry: Entry): void {
    if (this.#workers.get(key) === entry) this.#workers.delete(key);
  }

  #evict(): void {
    let excess = this.#workers.size - MAX_WARM_MODELS;
    for (const [key, { worker }] of this.#workers) {
      if (excess <= 0) return;
      if (worker === undefined || worker.waiting > 0) continue;
      this.#workers.delete(key);
      void worker[Symbol.asyncDispose]();
      excess -= 1;
    }
  }
}

function keyOf({ name, version, createdAt }: VersionKey): string {
  return `${name}/${version}/${createdAt.getTime()}`;
}
