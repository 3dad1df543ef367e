import type { ModelVersion } from '../mlflow/wire.ts';
import type { ModelService } from '../models/service.ts';
import { modelVersionKey } from '../models/version-key.ts';
import { hasCode } from '../platform/errors.ts';

/** How long an answer of MLflow's is taken for the present one. */
const FRESH_MS = 1000;
const MAX_KEPT = 1000;

/**
 * Which version a request means, as MLflow has it. A deleted model's name may be given again, and its numbers then start
 * anew, so a version's number alone does not say which model it is. What MLflow answered is kept for a second, so that a
 * burst of predictions asks once: for that long after a change the version before it may still be given. Failures are
 * not kept, but requests that are under way at once share one. While MLflow does not answer, its last answer holds.
 */
export class VersionLookup {
  readonly #models: Pick<ModelService, 'getVersion' | 'latestVersion'>;
  /** In the order in which they were asked for, the oldest first. */
  readonly #kept = new Map<string, { readonly askedAt: number; readonly version: Promise<ModelVersion> }>();

  /** What each key meant last: while MLflow is away, models that are loaded go on serving. */
  readonly #known = new Map<string, ModelVersion>();

  constructor(models: Pick<ModelService, 'getVersion' | 'latestVersion'>) {
    this.#models = models;
  }

  /** @param version a number, or absent or `latest`: the newest. @throws AsgardError NOT_FOUND, as `ModelService` does */
  find(name: string, version = 'latest'): Promise<ModelVersion> {
    const key = modelVersionKey(name, version);
    const kept = this.#kept.get(key);
    const now = performance.now();
    if (kept !== undefined && now - kept.askedAt < FRESH_MS) return kept.version;
    const entry = { askedAt: now, version: this.#ask(key, name, version) };
    this.#kept.delete(key);
    this.#kept.set(key, entry);
    entry.version.catch(() => {
      if (this.#kept.get(key) === entry) this.#kept.delete(key);
    });
    this.#forget(now);
    return entry.version;
  }

  async #ask(key: string, name: string, version: string): Promise<ModelVersion> {
    try {
      const found = await (version === 'latest'
        ? this.#models.latestVersion(name)
        : this.#models.getVersion(name, version));
      this.#known.delete(key);
      this.#known.set(key, found);
      const [oldest] = this.#known.keys();
      if (oldest !== undefined && this.#known.size > MAX_KEPT) this.#known.delete(oldest);
      return found;
    } catch (error) {
      const known = this.#known.get(key);
      if (known === undefined || !hasCode(error, 'UNAVAILABLE')) throw error;
      return known;
    }
  }

  #forget(now: number): void {
    for (const [key, { askedAt }] of this.#kept) {
      if (now - askedAt < FRESH_MS && this.#kept.size <= MAX_KEPT) return;
      this.#kept.delete(key);
    }
  }
}
