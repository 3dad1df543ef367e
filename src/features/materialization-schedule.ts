import { setTimeout as delay } from 'node:timers/promises';
import type { FeatureStoreHealth } from '../feast/health.ts';
import { isRetryable, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { MaterializationService } from './materialization.ts';
import type { OnlineView, OnlineViewCache } from './online-views.ts';

const LOOK_EVERY_MS = 5_000;

export interface ScheduleOptions {
  readonly materializations: Pick<MaterializationService, 'lastStarts' | 'states' | 'start'>;
  readonly views: Pick<OnlineViewCache, 'get'>;
  readonly health: Pick<FeatureStoreHealth, 'current'>;
  /** Between two looks at one view, unless its tag says otherwise. */
  readonly everySeconds: number;
  /** How often is looked which views are due; 5,000 when absent. */
  readonly lookEveryMs?: number;
  readonly logger: Logger;
}

/**
 * Materializes each online view whose table has something new, when its interval since the last run is over. Platforms that
 * share a store may all do so: a run is begun once, and the others find it.
 */
export class MaterializationSchedule implements AsyncDisposable {
  readonly #options: ScheduleOptions;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  /** When each view was last looked at here. */
  readonly #lookedAt = new Map<string, number>();

  /** Begins. */
  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.#watching = this.#watch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    const { lookEveryMs = LOOK_EVERY_MS } = this.#options;
    for (;;) {
      await delay(lookEveryMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#startDue();
      } catch (error) {
        const { logger } = this.#options;
        if (isRetryable(error)) logger.debug({ problem: messageOf(error) }, 'materialization.schedule_waits');
        else logger.error({ err: error }, 'materialization.schedule_failed');
      }
    }
  }

  async #startDue(): Promise<void> {
    const { health, views, materializations, logger } = this.#options;
    const { isAvailable, featureViews } = await health.current();
    if (!isAvailable || featureViews === 0) return;
    const known = await views.get();
    const lastStarts = await materializations.lastStarts();
    const due = [...known.views.values()].filter((view) => this.#isDue(view, lastStarts.get(view.name)));
    if (due.length === 0) return;
    for (const { name } of due) this.#lookedAt.set(name, Date.now());
    const states = await materializations.states(due.map(({ name }) => name));
    const behind = states.filter(({ isBehind }) => isBehind).map(({ featureView }) => featureView);
    for (const { featureView, trouble } of states) {
      if (trouble !== null) logger.warn({ view: featureView, problem: trouble }, 'materialization.no_table');
    }
    if (behind.length > 0) await materializations.start(behind, 'SCHEDULE');
  }

  #isDue({ name, isOnline, everySeconds }: OnlineView, lastStart: Date | undefined): boolean {
    const seconds = everySeconds ?? this.#options.everySeconds;
    if (!isOnline || seconds === 0) return false;
    const last = Math.max(lastStart?.getTime() ?? 0, this.#lookedAt.get(name) ?? 0);
    return Date.now() - last >= seconds * 1000;
  }
}
