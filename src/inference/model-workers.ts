import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PrismaClient } from '../database/generated/client.ts';
import type { Logger } from '../platform/logger.ts';
import type { PythonEnvironment, PythonEnvironments } from '../python/environments.ts';
import { ModelWorker } from './model-worker.ts';

/** Models that are kept warm; beyond it the one that was used least recently and has nothing to do is ended. */
const MAX_WARM_MODELS = 8;

export interface ModelWorkersOptions {
  readonly database: PrismaClient;
  readonly environments: PythonEnvironments;
  /** Where workers keep the artifacts that they loaded. */
  readonly folder: string;
  /** Where workers fetch artifacts from. */
  readonly trackingUri: string;
  readonly logger: Logger;
}

/** Warm model workers, one a version, loaded on demand. */
export class ModelWorkers implements AsyncDisposable {
  readonly #options: ModelWorkersOptions;
  /** In the order of their last use, the oldest first. */
  readonly #workers = new Map<string, { loading: Promise<ModelWorker>; worker?: ModelWorker }>();
  #isDisposed = false;

  constructor(options: ModelWorkersOptions) {
    this.#options = options;
  }

  /** Whether a worker of this version is loaded. */
  isWarm(name: string, version: string): boolean {
    return this.#workers.get(keyOf(name, version))?.worker?.isEnded === false;
  }

  /** The worker of a version, loaded once however many ask. @throws AsgardError UNAVAILABLE when it cannot be loaded */
  async get(name: string, version: string): Promise<ModelWorker> {
    const key = keyOf(name, version);
    const known = this.#workers.get(key);
    if (known !== undefined) {
      this.#workers.delete(key);
      this.#workers.set(key, known);
      return known.loading;
    }
    const loading = this.#load(name, version);
    const entry: { loading: Promise<ModelWorker>; worker?: ModelWorker } = { loading };
    this.#workers.set(key, entry);
    try {
      entry.worker = await loading;
      this.#evict();
      return entry.worker;
    } catch (error) {
      this.#workers.delete(key);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const loading = [...this.#workers.values()].map((entry) => entry.loading);
    await Promise.allSettled(loading.map(async (worker) => (await worker)[Symbol.asyncDispose]()));
  }

  async #load(name: string, version: string): Promise<ModelWorker> {
    const { logger, trackingUri } = this.#options;
    const environment = await this.#environmentOf(name, version);
    const folder = join(this.#options.folder, randomUUID());
    const modelUri = `models:/${name}/${version}`;
    const worker = await ModelWorker.load({ environmentFolder: environment.folder, modelUri, trackingUri, folder });
    logger.info({ name, version, environment: environment.hash }, 'model.loaded');
    void worker.ended.then(async () => {
      if (this.#workers.get(keyOf(name, version))?.worker === worker) this.#workers.delete(keyOf(name, version));
      logger.info({ name, version }, 'model.unloaded');
      await rm(folder, { recursive: true, force: true });
    });
    if (this.#isDisposed) await worker[Symbol.asyncDispose]();
    return worker;
  }

  /** The environment that the version was trained in; the base environment for a version that no job made. */
  async #environmentOf(name: string, version: string): Promise<PythonEnvironment> {
    const { database, environments } = this.#options;
    const made = await database.jobModelVersion.findUnique({
      where: { name_version: { name, version } },
      select: { job: { select: { environment: true } } },
    });
    const environment = made?.job.environment ?? null;
    if (environment === null) return environments.prepare({ requirements: [] });
    return environments.prepareLocked(environment.lock, environment.python);
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

function keyOf(name: string, version: string): string {
  return `${name}/${version}`;
}
