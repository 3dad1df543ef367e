import { z } from 'zod';
import type { FeastBridge } from '../feast/bridge.ts';
import { tags } from '../models/naming.ts';
import { bounded } from '../platform/bounded.ts';
import { isStorableText, nameText } from '../platform/text.ts';
import { notFound } from './absent.ts';
import { featureServiceName } from './feature-names.ts';
import { description, owner } from './feature-view-input.ts';
import type { NamedPage, NamedPageQuery } from './named-page.ts';
import type { FeatureRegistry } from './registry.ts';

const MAX_REFERENCES = 1000;

/** A feature service as somebody wants it. */
export const featureServiceInput = z.object({
  name: featureServiceName,
  /** `view:feature`, or `view` for all that it has now. */
  features: bounded(z.array(nameText(512)).min(1).max(MAX_REFERENCES), MAX_REFERENCES),
  description,
  owner,
  tags: tags.default({}),
});

export type FeatureServiceInput = z.output<typeof featureServiceInput>;

const at = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

const featureService = z.object({
  name: z.string(),
  /** What it has of each view, in the order in which it was asked for. */
  views: z.array(z.object({ name: z.string(), features: z.array(z.string()) })),
  description: z.string(),
  owner: z.string(),
  tags: z.record(z.string(), z.string()),
  createdAt: at,
  updatedAt: at,
});

export type FeatureService = z.output<typeof featureService>;

const applied = z.object({ action: z.enum(['created', 'changed', 'unchanged']), service: featureService });
const page = z.object({ services: z.array(featureService), total: z.int() });
const found = z.object({ services: z.array(featureService.nullable()) });

export type AppliedFeatureService = z.output<typeof applied>;

/** Named choices of features of several views, for a model to ask for. Fails as `FeatureViewService` does. */
export class FeatureServices {
  readonly #bridge: Pick<FeastBridge, 'request'>;
  readonly #registry: Pick<FeatureRegistry, 'summary'>;

  constructor(bridge: Pick<FeastBridge, 'request'>, registry: Pick<FeatureRegistry, 'summary'>) {
    this.#bridge = bridge;
    this.#registry = registry;
  }

  /** Makes a service what `input` says. @throws AsgardError INVALID_INPUT with every reference that names nothing */
  apply(input: FeatureServiceInput): Promise<AppliedFeatureService> {
    return this.#bridge.request('services.apply', input, applied);
  }

  /** A page of the services, by name. */
  async list(query: NamedPageQuery): Promise<NamedPage<FeatureService>> {
    const { services, total } = await this.#bridge.request('services.list', query, page);
    return { items: services, total };
  }

  /** @throws AsgardError NOT_FOUND */
  async get(name: string): Promise<FeatureService> {
    const [service] = isStorableText(name) ? await this.byNames([name]) : [];
    if (service == null) throw notFound('feature service', name, (await this.#registry.summary()).services);
    return service;
  }

  /** The services of these names, in their order; null for each that there is none of. The database can hold each of them. */
  async byNames(names: readonly string[]): Promise<(FeatureService | null)[]> {
    return (await this.#bridge.request('services.find', { names }, found)).services;
  }

  /** @throws AsgardError NOT_FOUND */
  async delete(name: string): Promise<FeatureService> {
    if (!isStorableText(name)) throw notFound('feature service', name, []);
    const { service } = await this.#bridge.request('services.delete', { name }, z.object({ service: featureService }));
    return service;
  }
}
