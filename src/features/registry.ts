import { z } from 'zod';
import type { FeastBridge } from '../feast/bridge.ts';
import type { NamedPage, NamedPageQuery } from './named-page.ts';

const entity = z.object({
  name: z.string(),
  /** The column that rows are joined by. */
  joinKey: z.string(),
  dtype: z.string(),
  /** The names of the feature views that are about it. */
  views: z.array(z.string()),
  createdAt: z.iso.datetime({ offset: true }).transform((text) => new Date(text)),
});

export type Entity = z.output<typeof entity>;

const page = z.object({ entities: z.array(entity), total: z.int() });
const summary = z.object({
  views: z.array(z.string()),
  entities: z.array(z.string()),
  services: z.array(z.string()),
});

/** The names of what the registry holds, each sorted. */
export type RegistrySummary = z.output<typeof summary>;

/** Feast's registry as a whole. Fails as `FeatureViewService` does. */
export class FeatureRegistry {
  readonly #bridge: Pick<FeastBridge, 'request'>;

  constructor(bridge: Pick<FeastBridge, 'request'>) {
    this.#bridge = bridge;
  }

  /** What there is. */
  summary(): Promise<RegistrySummary> {
    return this.#bridge.request('registry.summary', {}, summary);
  }

  /** A page of the entities, by name: what features are about. They come and go with the views that name them. */
  async entities(query: NamedPageQuery): Promise<NamedPage<Entity>> {
    const { entities, total } = await this.#bridge.request('entities.list', query, page);
    return { items: entities, total };
  }
}
