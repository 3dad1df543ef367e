import type { ModelVersion } from '../mlflow/wire.ts';
import type { ModelService } from '../models/service.ts';

/** How long an answer of MLflow's is taken for the present one. */
const FRESH_MS = 1000;
const MAX_KEPT = 1000;

/**
 * Which version a request means, as MLflow has it. A deleted model's name may be given again, and its numbers then start
 * anew, so a version's number alone does not say which model it is. What MLflow answered is kept for a second, so that a
 * burst of predictions asks once: for that long after a change the version before it may still be given. Failures are
 * not kept, but requests that are under way at once share one.
 */
export class VersionLookup {
  readonly #models: Pick<ModelService, 'getVersion' | 'latestVersion'>;
  /** In the order in which they were asked for, the oldest first. */
  readonly #kept = new Map<string, { readonly askedAt: number; readonly version: Promise<ModelVersion> }>();

  constructor(models: Pick<ModelService, 'getVersion' | 'latestVersion'>) {
    this.#models = models;
  }

  /** @param version a number, or absent or `latest`: the newest. @throws AsgardError NOT_FOUND, as `ModelService` does */
  find(name: string, version = 'latest'): Promise<ModelVersion> {
    const key = `${version}/${name}`;
    const kept = this.#kept.get(key);
    const now = performance.now();
    if (kept !== undefined && now - kept.askedAt < FRESH_MS) return kept.version;
    const entry = { askedAt: now, version: this.#ask(name, version) };
    this.#kept.delete(key);
    this.#kept.set(key, entry);
    entry.version.catch(() => {
      if (this.#kept.get(key) === entry) this.#kept.delete(key);
    });
    this.#forget(now);
    return entry.version;
  }

  #ask(name: string, version: string): Promise<ModelVersion> {
    return version === 'latest' ? this.#models.latestVersion(name) : this.#models.getVersion(name, version);
  }

  #forget(now: number): void {
    for (const [key, { askedAt }] of this.#kept) {
      if (now - askedAt < FRESH_MS && this.#kept.size <= MAX_KEPT) return;
      this.#kept.delete(key);
    }
  }
}
