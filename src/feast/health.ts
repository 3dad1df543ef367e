import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { FeastBridge } from './bridge.ts';
import type { FeaturesDatabase } from './database.ts';
import type { Warehouse } from './warehouse.ts';

/** How long one look at everything may take. */
const LOOK_LIMIT_MS = 3_000;
/** What was seen that recently is told again, however many ask. */
const FRESH_MS = 1_000;
/** Between two looks that nobody asked for. */
const STEADY_PAUSE_MS = 30_000;
const TROUBLED_PAUSE_MS = 3_000;

const LATE = `it does not answer within ${LOOK_LIMIT_MS / 1000} s`;

/** How the feature store is. */
export interface FeatureStoreState {
  /** Whether registry, catalog and warehouse answer, and the bridge runs or can be started. */
  readonly isAvailable: boolean;
  /** 0 while the registry does not answer. */
  readonly featureViews: number;
  /** One line: why it is not available, or what does not work although it is. */
  readonly trouble: string | null;
}

export interface FeatureStoreHealthOptions {
  readonly database: FeaturesDatabase;
  readonly warehouse: Warehouse;
  readonly bridge: FeastBridge;
  /** What does not work with these settings although the store is available, in one line; null when there is nothing. */
  readonly standingTrouble: string | null;
  /** Asks a catalog that is not in the database. */
  readonly checkCatalog: ((signal: AbortSignal) => Promise<void>) | undefined;
  readonly logger: Logger;
  /** Runs when the trouble is another, with null when there is none. */
  readonly onTrouble: (trouble: string | null) => void;
  /** Runs when there are feature views and the look before did not see any. */
  readonly onFeatureViews?: (() => void) | undefined;
}

/**
 * Looks at the parts of the feature store: whenever somebody asks, and now and then by itself. Makes the schemas and the
 * warehouse's folder as soon as it can, and starts the bridge where there are tables or feature views already.
 */
export class FeatureStoreHealth implements AsyncDisposable {
  readonly #options: FeatureStoreHealthOptions;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  #look: Promise<FeatureStoreState> | undefined;
  #trouble: string | null = null;
  #isPrepared = false;
  #hasSeenViews = false;

  constructor(options: FeatureStoreHealthOptions) {
    this.#options = options;
    this.#watching = this.#watch();
  }

  /** How it is, or was up to a second ago. Answers within 3 seconds, whatever does not. */
  current(): Promise<FeatureStoreState> {
    if (this.#look === undefined) {
      this.#look = this.#lookAtAll();
      void this.#look.then(async () => {
        await delay(FRESH_MS, undefined, { ref: false });
        this.#look = undefined;
      });
    }
    return this.#look;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { isAvailable } = await this.current();
      const pauseMs = isAvailable ? STEADY_PAUSE_MS : TROUBLED_PAUSE_MS;
      await delay(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #lookAtAll(): Promise<FeatureStoreState> {
    const { database, warehouse, bridge, checkCatalog } = this.#options;
    const limit = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(LOOK_LIMIT_MS)]);
    let featureViews = 0;
    try {
      const seen = await database.look(limit);
      featureViews = seen.featureViews;
      await warehouse.check(limit, seen.tables > 0 || checkCatalog !== undefined);
      await checkCatalog?.(limit);
      if (bridge.trouble !== undefined) throw bridge.trouble;
      if (!this.#isPrepared && seen.tables + seen.featureViews > 0) bridge.start();
      this.#isPrepared = true;
      this.#noteViews(featureViews);
      const trouble = seen.trouble ?? this.#options.standingTrouble;
      return this.#told({ isAvailable: true, featureViews, trouble });
    } catch (error) {
      this.#hasSeenViews = false;
      return this.#told({ isAvailable: false, featureViews, trouble: limit.aborted ? LATE : messageOf(error) });
    }
  }

  #noteViews(count: number): void {
    if (count > 0 && !this.#hasSeenViews) this.#options.onFeatureViews?.();
    this.#hasSeenViews = count > 0;
  }

  #told(state: FeatureStoreState): FeatureStoreState {
    const { trouble } = state;
    if (this.#stop.signal.aborted || trouble === this.#trouble) return state;
    const { logger, onTrouble } = this.#options;
    if (trouble === null) logger.info('features.ready');
    else logger.warn({ problem: trouble }, 'features.not_ready');
    this.#trouble = trouble;
    onTrouble(trouble);
    return state;
  }
}
