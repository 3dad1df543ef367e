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
 * until the new one is. A new one that cannot be loaded, or is refused, changes nothing: it is said in the log, and tried again.
 */
export class VersionSwitch {
  readonly #options: VersionSwitchOptions;
  /** What answers under each key, in the order of their last change. */
  readonly #current = new Map<string, ModelVersion>();
  readonly #warming = new Set<string>();
  readonly #retryAt = new Map<string, number>();

  constructor(options: VersionSwitchOptions) {
    this.#options = options;
  }

  /** @param key of the way in which the version was named */
  choose(key: string, { version, proven }: VersionChoice): ModelVersion {
    const { served } = this.#options;
    const before = this.#current.get(key);
    const current = before !== undefined && served.isLoaded(before) ? before : (proven ?? version);
    if (before !== current) this.#set(key, current);
    if (isSame(current, version)) return version;
    if (!this.#warming.has(key) && performance.now() >= (this.#retryAt.get(key) ?? 0)) void this.#warm(key, version);
    return current;
  }

  async #warm(key: string, version: ModelVersion): Promise<void> {
    const { served, pass, logger } = this.#options;
    this.#warming.add(key);
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
    } finally {
      this.#warming.delete(key);
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
