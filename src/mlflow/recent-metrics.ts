import type { LoggedMetric } from './observation.ts';

/** About 5 MB. What is sent again was logged at the run's current step, so it is among the last. */
const MAX_REMEMBERED = 20_000;

/**
 * Tells values that are sent again from new ones. MLflow 3's client logs the values of a run's current step once more, for
 * the model, whenever it saves a model; and any client repeats what it got no answer to. MLflow keeps such a value once:
 * run, key, step, time and value together are its key.
 */
export class RecentMetrics {
  readonly #seen = new Set<string>();

  /** Those that were not remembered, each once. */
  unseen(metrics: readonly LoggedMetric[]): LoggedMetric[] {
    const fresh = new Map(metrics.map((metric) => [identityOf(metric), metric]));
    return [...fresh].filter(([identity]) => !this.#seen.has(identity)).map(([, metric]) => metric);
  }

  /** The oldest are forgotten for the new ones. */
  remember(metrics: readonly LoggedMetric[]): void {
    for (const metric of metrics) this.#seen.add(identityOf(metric));
    for (const oldest of this.#seen) {
      if (this.#seen.size <= MAX_REMEMBERED) return;
      this.#seen.delete(oldest);
    }
  }
}

function identityOf({ runId, key, value, step, timestampMs }: LoggedMetric): string {
  return JSON.stringify([runId, step, timestampMs, value, key]);
}
