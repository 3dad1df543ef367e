import type { ModelVersion } from '../mlflow/wire.ts';
import { AsgardError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { EngineName, LoadModel, ServedModel } from './engine.ts';
import { LoadSlots } from './load-slots.ts';

type VersionKey = Pick<ModelVersion, 'name' | 'version' | 'createdAt'>;

/** What models take changes while they answer. */
const LOOK_MS = 5_000;

export interface ServedModelsOptions {
  readonly load: LoadModel;
  /** What models may take of the memory together. One that takes more alone is served all the same. */
  readonly memoryBytes: number;
  readonly logger: Logger;
}

interface Entry {
  readonly version: ModelVersion;
  readonly loading: Promise<ServedModel>;
  usedAt: Date;
  loaded?: { readonly model: ServedModel; readonly at: Date };
}

/** A version that is in memory, as it is now. */
export interface ServedVersion {
  readonly version: ModelVersion;
  readonly engine: EngineName;
  /** As last measured. */
  readonly memoryBytes: number;
  /** Python processes that have it. */
  readonly processes: number;
  /** Requests without an answer yet. */
  readonly waiting: number;
  readonly loadedAt: Date;
  /** When it was last asked, or loaded. */
  readonly usedAt: Date;
}

/**
 * The models in memory, loaded on demand, two at a time. Beyond the budget the one that was used least recently and has
 * nothing to do is ended. A version that was made anew under the same name and number is another one.
 */
export class ServedModels implements AsyncDisposable {
  readonly #options: ServedModelsOptions;
  /** In the order of their last use, the oldest first. */
  readonly #entries = new Map<string, Entry>();
  readonly #slots = new LoadSlots();
  readonly #stop = new AbortController();
  readonly #look = setInterval(() => this.#makeRoom(), LOOK_MS).unref();

  constructor(options: ServedModelsOptions) {
    this.#options = options;
  }

  /**
   * The model of a version, loaded once however many ask. A load that failed is tried again when the next one asks.
   * @throws AsgardError UNAVAILABLE with the reason when it cannot be loaded
   */
  async get(version: ModelVersion): Promise<ServedModel> {
    const key = keyOf(version);
    const known = this.#entries.get(key);
    if (known !== undefined && known.loaded?.model.isEnded !== true) {
      known.usedAt = new Date();
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.loading;
    }
    const entry: Entry = { version, loading: this.#slots.run(() => this.#load(version)), usedAt: new Date() };
    this.#entries.set(key, entry);
    try {
      const model = await entry.loading;
      entry.loaded = { model, at: new Date() };
      void model.ended.then(() => this.#drop(key, entry));
      this.#makeRoom(entry);
      return model;
    } catch (error) {
      this.#drop(key, entry);
      throw error;
    }
  }

  /** Whether a version answers without a load. */
  isLoaded(version: ModelVersion): boolean {
    return this.#entries.get(keyOf(version))?.loaded?.model.isEnded === false;
  }

  /** What is in memory now, the version that was used last first. */
  list(): ServedVersion[] {
    return [...this.#entries.values()].flatMap((entry) => presented(entry) ?? []).toReversed();
  }

  /** A version as it is in memory; null when it is not. */
  find(version: VersionKey): ServedVersion | null {
    const entry = this.#entries.get(keyOf(version));
    return (entry && presented(entry)) ?? null;
  }

  /** Calls off what loads and ends every model. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#look);
    this.#stop.abort(new AsgardError('UNAVAILABLE', 'the platform is shutting down'));
    const entries = [...this.#entries.values()];
    await Promise.allSettled(entries.map(async ({ loading }) => (await loading)[Symbol.asyncDispose]()));
  }

  get #models(): ServedModel[] {
    return [...this.#entries.values()].flatMap(({ loaded }) => loaded?.model ?? []);
  }

  get #excessBytes(): number {
    return this.#models.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0) - this.#options.memoryBytes;
  }

  async #load(version: ModelVersion): Promise<ServedModel> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const { load, logger } = this.#options;
    const event = { name: version.name, version: version.version };
    const startedAt = performance.now();
    const model = await load(version, { signal, hasRoomFor: (bytes) => bytes <= -this.#excessBytes });
    const seconds = Math.round(performance.now() - startedAt) / 1000;
    logger.info({ ...event, engine: model.engine, seconds, memoryBytes: model.memoryBytes }, 'model.loaded');
    void model.ended.then(() => logger.info(event, 'model.unloaded'));
    return model;
  }

  #drop(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }

  /** @param kept it was loaded for whoever is about to ask it */
  #makeRoom(kept?: Entry): void {
    let excess = this.#excessBytes;
    for (const [key, entry] of this.#entries) {
      if (excess <= 0) return;
      const model = entry.loaded?.model;
      if (entry === kept || model === undefined || model.waiting > 0 || this.#models.length === 1) continue;
      excess -= model.memoryBytes;
      this.#entries.delete(key);
      void model[Symbol.asyncDispose]();
    }
  }
}

function presented({ version, usedAt, loaded }: Entry): ServedVersion | null {
  if (loaded === undefined || loaded.model.isEnded) return null;
  const { engine, memoryBytes, processes, waiting } = loaded.model;
  return { version, engine, memoryBytes, processes, waiting, loadedAt: loaded.at, usedAt };
}

function keyOf({ name, version, createdAt }: VersionKey): string {
  return `${name}/${version}/${createdAt.getTime()}`;
}
