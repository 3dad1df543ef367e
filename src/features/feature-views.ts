import { z } from 'zod';
import type { FeastBridge } from '../feast/bridge.ts';
import { isStorableText } from '../platform/text.ts';
import { notFound } from './absent.ts';
import {
  type AppliedFeatureView,
  appliedFeatureView,
  type FeatureView,
  type FeatureViewPlan,
  featureView,
  featureViewPlan,
} from './feature-view.ts';
import type { FeatureViewInput } from './feature-view-input.ts';
import type { NamedPage, NamedPageQuery } from './named-page.ts';
import type { FeatureRegistry } from './registry.ts';

/** Checking a table may read a column of it. */
const CHECK_LIMIT_MS = 120_000;

const page = z.object({ views: z.array(featureView), total: z.int() });
const found = z.object({ views: z.array(featureView.nullable()) });

/**
 * Feature views, which say which columns of an Iceberg table are features, and whose. Every method throws AsgardError
 * UNAVAILABLE or TIMEOUT while the feature store does not answer.
 */
export class FeatureViewService {
  readonly #bridge: Pick<FeastBridge, 'request'>;
  readonly #registry: Pick<FeatureRegistry, 'summary'>;

  constructor(bridge: Pick<FeastBridge, 'request'>, registry: Pick<FeatureRegistry, 'summary'>) {
    this.#bridge = bridge;
    this.#registry = registry;
  }

  /**
   * Makes a view what `input` says, or finds that it is so already. Safe to repeat, and safe from several platforms at once:
   * each is told what it did.
   * @throws AsgardError INVALID_INPUT with every mistake; CONFLICT when a feature service has what would go
   */
  apply(input: FeatureViewInput): Promise<AppliedFeatureView> {
    return this.#bridge.request('views.apply', input, appliedFeatureView, { timeoutMs: CHECK_LIMIT_MS });
  }

  /** What `apply` would do, and what the table's first rows are like. @throws what `apply` throws */
  plan(input: FeatureViewInput, signal?: AbortSignal): Promise<FeatureViewPlan> {
    return this.#bridge.request('views.plan', input, featureViewPlan, { timeoutMs: CHECK_LIMIT_MS, signal });
  }

  /** A page of the views, by name. */
  async list(query: NamedPageQuery): Promise<NamedPage<FeatureView>> {
    const { views, total } = await this.#bridge.request('views.list', query, page);
    return { items: views, total };
  }

  /** @throws AsgardError NOT_FOUND */
  async get(name: string): Promise<FeatureView> {
    const [view] = isStorableText(name) ? await this.byNames([name]) : [];
    if (view == null) throw notFound('feature view', name, (await this.#registry.summary()).views);
    return view;
  }

  /** The views of these names, in their order; null for each that there is none of. The database can hold each of them. */
  async byNames(names: readonly string[]): Promise<(FeatureView | null)[]> {
    return (await this.#bridge.request('views.find', { names }, found)).views;
  }

  /** Deletes a view with its online values. @throws AsgardError NOT_FOUND; CONFLICT when a feature service has it */
  async delete(name: string): Promise<FeatureView> {
    if (!isStorableText(name)) throw notFound('feature view', name, []);
    const { view } = await this.#bridge.request('views.delete', { name }, z.object({ view: featureView }));
    return view;
  }
}
