import { collectDefaultMetrics, Registry } from 'prom-client';

export type { Registry };

/** A registry that holds what Node knows of its own process: CPU, memory, event loop, garbage collection, files. */
export function createMetricsRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
