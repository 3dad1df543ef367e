import type { ServableVersion } from '../database/generated/client.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { aliasName } from '../models/alias.ts';
import type { ServableKey } from '../models/servable-versions.ts';
import type { ModelService } from '../models/service.ts';
import { modelVersionKey } from '../models/version-key.ts';
import { hasCode } from '../platform/errors.ts';

/** How long an answer of MLflow's is taken for the present one. */
const FRESH_MS = 1000;
/** After so long it is asked anew while its answer is still taken: under load nobody waits for MLflow. */
const REFRESH_MS = 700;
const MAX_KEPT = 1000;
/** Among so many of a model's newest versions one that works is looked for. */
const MAX_LOOKED_AT = 100;

/** What is known of versions, in their order; null of those that were not tried yet. */
export type ModelChecks = (versions: readonly ServableKey[]) => Promise<(ServableVersion | null)[]>;

type Models = Pick<ModelService, 'getVersion' | 'getVersionByAlias' | 'versions' | 'latestVersion'>;

/** The version that a request means. */
export interface VersionChoice {
  readonly version: ModelVersion;
  /** The newest that is known to work, where the newest was asked for; `version` itself, or one that is older than it. */
  readonly proven: ModelVersion | null;
}

interface Kept {
  /** By `performance.now()`. */
  readonly askedAt: number;
  readonly choice: Promise<VersionChoice>;
}

/**
 * Which version a request means, as MLflow has it. A deleted model's name may be given again, and its numbers then start
 * anew, so a version's number alone does not say which model it is. What MLflow answered is kept for a second, so that a
 * burst of predictions asks once: for that long after a change the version before it may still be given, unless `forgetNewest`
 * is called. Failures are not kept, but requests that are under way at once share one. While MLflow does not answer, its
 * last answer holds.
 */
export class VersionLookup {
  readonly #models: Models;
  readonly #checks: ModelChecks | undefined;
  /** In the order in which they were asked for, the oldest first. */
  readonly #kept = new Map<string, Kept>();
  readonly #refreshing = new Set<string>();

  /** What each key meant last: while MLflow is away, models that are loaded go on serving. */
  readonly #known = new Map<string, VersionChoice>();

  /** @param checks absent: every version counts as one that works */
  constructor(models: Models, checks?: ModelChecks) {
    this.#models = models;
    this.#checks = checks;
  }

  /**
   * @param name of a model; without `version` also `<name>@<alias>`
   * @param version a number, an alias, or absent or `latest`: the newest that was not refused
   * @throws AsgardError NOT_FOUND, as `ModelService` does
   */
  find(name: string, version?: string): Promise<VersionChoice> {
    const key = referenceKey(name, version);
    const kept = this.#kept.get(key);
    const now = performance.now();
    if (kept !== undefined && now - kept.askedAt < FRESH_MS) {
      if (now - kept.askedAt > REFRESH_MS) void this.#refresh(key, name, version);
      return kept.choice;
    }
    const entry = { askedAt: now, choice: this.#ask(key, name, version) };
    this.#keep(key, entry);
    entry.choice.catch(() => {
      if (this.#kept.get(key) === entry) this.#kept.delete(key);
    });
    return entry.choice;
  }

  /** Has the newest version of a model be looked for anew, as there may be another one. */
  forgetNewest(name: string): void {
    for (const version of [undefined, 'latest']) this.#kept.delete(referenceKey(name, version));
  }

  /** A failure is told to whoever asks next. */
  async #refresh(key: string, name: string, version: string | undefined): Promise<void> {
    if (this.#refreshing.has(key)) return;
    this.#refreshing.add(key);
    const askedAt = performance.now();
    const before = this.#kept.get(key);
    try {
      const choice = await this.#ask(key, name, version);
      // Meanwhile it may have become too old and been asked for once more.
      if (this.#kept.get(key) === before) this.#keep(key, { askedAt, choice: Promise.resolve(choice) });
    } catch {
      if (this.#kept.get(key) === before) this.#kept.delete(key);
    } finally {
      this.#refreshing.delete(key);
    }
  }

  #keep(key: string, entry: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, entry);
    this.#forget(entry.askedAt);
  }

  async #ask(key: string, name: string, version: string | undefined): Promise<VersionChoice> {
    try {
      const found = await this.#resolve(name, version);
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

  async #resolve(name: string, version: string | undefined): Promise<VersionChoice> {
    if (version === 'latest') return this.#newest(name);
    if (version !== undefined) {
      const isNumber = /^[0-9]+$/.test(version);
      const found = isNumber ? this.#models.getVersion(name, version) : this.#models.getVersionByAlias(name, version);
      return { version: await found, proven: null };
    }
    const at = name.lastIndexOf('@');
    const alias = name.slice(at + 1);
    if (at < 1 || !aliasName.safeParse(alias).success) return this.#newest(name);
    try {
      return { version: await this.#models.getVersionByAlias(name.slice(0, at), alias), proven: null };
    } catch (error) {
      if (!hasCode(error, 'NOT_FOUND')) throw error;
      // A model's name may have an "@" of its own.
      return await this.#newest(name).catch(() => Promise.reject(error));
    }
  }

  async #newest(name: string): Promise<VersionChoice> {
    const { items } = await this.#models.versions(name, { first: MAX_LOOKED_AT });
    const [newest] = items;
    if (newest === undefined) return { version: await this.#models.latestVersion(name), proven: null };
    const records = (await this.#checks?.(items)) ?? [];
    const statusOf = (index: number) => records[index]?.status;
    const version = items.find((_version, index) => statusOf(index) !== 'REFUSED') ?? newest;
    const proven = items.find((_version, index) => statusOf(index) === 'SERVABLE') ?? null;
    return { version, proven };
  }

  #forget(now: number): void {
    for (const [key, { askedAt }] of this.#kept) {
      if (now - askedAt < FRESH_MS && this.#kept.size <= MAX_KEPT) return;
      this.#kept.delete(key);
    }
  }
}

/** One text for a way to name a version. */
export function referenceKey(name: string, version: string | undefined): string {
  return modelVersionKey(name, version ?? '');
}
