import type { ModelVersion } from '../mlflow/wire.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { ServedModels } from './served-models.ts';
import type { VersionChoice } from './version-lookup.ts';

const MAX_KEPT = 1000;
/** After a version could not be made ready, so long passes until it is tried again. */
const RETRY_MS = 2_000;

export interface VersionSwitchOptions {
  readonly served: Pick<ServedModels, 'get' | 'isLoaded'>;
  /** @throws AsgardError when the version is not to be served */
  readonly pass: (version: ModelVersion) => Promise<void>;
  readonly logger: Logger | undefined;
}

/**
 * Which version answers where an alias, or `latest`, has come to mean another one: the one before it, for as long as it is loaded,
 * until the new one is. A newest version that is known to work is waited for, as its job may have been seen to be done. A new
 * one that cannot be loaded, or is refused, changes nothing: it is said in the log, and tried again.
 */
export class VersionSwitch {
  readonly #options: VersionSwitchOptions;
  /** What answers under each key, in the order of their last change. */
  readonly #current = new Map<string, ModelVersion>();
  readonly #warming = new Map<string, Promise<void>>();
  readonly #retryAt = new Map<string, number>();

  constructor(options: VersionSwitchOptions) {
    this.#options = options;
  }

  /** @param key of the way in which the version was named */
  choose(key: string, choice: VersionChoice): ModelVersion | Promise<ModelVersion> {
    const { version, proven } = choice;
    const { served } = this.#options;
    const before = this.#current.get(key);
    const current = before !== undefined && served.isLoaded(before) ? before : (proven ?? version);
    if (before !== current) this.#set(key, current);
    if (isSame(current, version)) return version;
    const warming = this.#warm(key, version);
    if (warming === null || proven === null || !isSame(proven, version)) return current;
    return warming.then(() => this.choose(key, choice));
  }

  /** Whether something answers under a key. */
  knows(key: string): boolean {
    return this.#current.has(key);
  }

  /** What makes a version ready, or one that meant the same before it; null when that has just failed. */
  #warm(key: string, version: ModelVersion): Promise<void> | null {
    const under = this.#warming.get(key);
    if (under !== undefined) return under;
    if (performance.now() < (this.#retryAt.get(key) ?? 0)) return null;
    const warming = this.#makeReady(key, version).finally(() => this.#warming.delete(key));
    this.#warming.set(key, warming);
    return warming;
  }

  async #makeReady(key: string, version: ModelVersion): Promise<void> {
    const { served, pass, logger } = this.#options;
    const event = { name: version.name, version: version.version };
    try {
      await pass(version);
      await served.get(version);
      this.#set(key, version);
      this.#retryAt.delete(key);
      logger?.info(event, 'model.switched');
    } catch (error) {
      this.#retryAt.set(key, performance.now() + RETRY_MS);
      logger?.warn({ ...event, reason: messageOf(error) }, 'model.not_switched');
    }
  }

  #set(key: string, version: ModelVersion): void {
    this.#current.delete(key);
    this.#current.set(key, version);
    if (this.#current.size <= MAX_KEPT) return;
    for (const [oldest] of this.#current) {
      this.#current.delete(oldest);
      this.#retryAt.delete(oldest);
      return;
    }
  }
}

function isSame(one: ModelVersion, other: ModelVersion): boolean {
  const isNamedSo = one.name === other.name && one.version === other.version;
  return isNamedSo && one.createdAt.getTime() === other.createdAt.getTime();
}
