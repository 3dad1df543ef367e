import { z } from 'zod';
import type { FeastBridge } from '../feast/bridge.ts';
import { JOIN_KEY_TYPES } from '../feast/entity-key.ts';
import type { OnlineStore } from '../feast/online-store.ts';
import { isRetryable } from '../platform/errors.ts';

/** Younger than this, what is known is used as it is. */
const FRESH_MS = 1_000;
/** Up to this age it is used once more while one looks behind it whether it still holds. Beyond it, whoever asks waits. */
const USABLE_MS = 2_000;
/** While the bridge cannot tell of a change, reads go on with what was known, for this long. */
const BRIDGE_AWAY_MS = 10 * 60_000;

const onlineView = z
  .object({
    name: z.string(),
    online_table: z.string(),
    is_online: z.boolean(),
    refusal: z.string().nullable(),
    ttl_seconds: z.number().positive().nullable(),
    every_seconds: z.int().min(0).nullable(),
    join_keys: z.array(z.object({ name: z.string(), type: z.enum(JOIN_KEY_TYPES) })),
    features: z.array(z.string()),
  })
  .transform((view) => ({
    name: view.name,
    /** Of Feast's online store. */
    table: view.online_table,
    isOnline: view.is_online,
    /** Why its values cannot be read, to be said after its name; null when they can. */
    refusal: view.refusal,
    /** How old a value may be; null for any age. */
    ttlSeconds: view.ttl_seconds,
    /** Between two scheduled materializations, by its tag `materialize_every_seconds`: 0 for never; null when it says none. */
    everySeconds: view.every_seconds,
    joinKeys: view.join_keys,
    features: new Set(view.features) as ReadonlySet<string>,
  }));

const onlineProjection = z
  .object({
    view: z.string(),
    name: z.string(),
    version: z.int().nullable(),
    join_keys: z.record(z.string(), z.string()),
    features: z.array(z.string()),
  })
  .transform(({ join_keys: joinKeys, ...projection }) => ({
    ...projection,
    /** What a request calls join keys of the view, where that is another name. */
    joinKeys: new Map(Object.entries(joinKeys)) as ReadonlyMap<string, string>,
  }));

const onlineViews = z
  .object({
    views: z.array(onlineView),
    services: z.array(z.object({ name: z.string(), projections: z.array(onlineProjection) })),
    others: z.record(z.string(), z.string()),
  })
  .transform(({ views, services, others }) => ({
    views: new Map(views.map((view) => [view.name, view])) as ReadonlyMap<string, OnlineView>,
    /** What each feature service has of views. */
    services: new Map(services.map(({ name, projections }) => [name, projections])) as ReadonlyMap<
      string,
      readonly OnlineProjection[]
    >,
    /** What views of other kinds are, by their names: `an on-demand feature view`. */
    others: new Map(Object.entries(others)) as ReadonlyMap<string, string>,
  }));

/** A feature view, as far as reading its online values goes. */
export type OnlineView = Readonly<z.output<typeof onlineView>>;
/** What a feature service has of one view, and under which names: `name` is the view's, or an alias. */
export type OnlineProjection = Readonly<z.output<typeof onlineProjection>>;
/** What the registry holds. */
export type OnlineViews = Readonly<z.output<typeof onlineViews>>;

interface Known {
  readonly value: OnlineViews;
  readonly version: string | null;
  /** When it held, by the monotonic clock. */
  readonly at: number;
}

/**
 * The registry's views and services. They are read again when the registry is another: a change made here is seen at once, with
 * `invalidate`, and one made elsewhere after 2 seconds at the latest.
 */
export class OnlineViewCache {
  readonly #bridge: Pick<FeastBridge, 'request'>;
  readonly #registry: Pick<OnlineStore, 'registryVersion'>;
  #known: Known | undefined;
  #looking: Promise<Known> | undefined;

  constructor(bridge: Pick<FeastBridge, 'request'>, registry: Pick<OnlineStore, 'registryVersion'>) {
    this.#bridge = bridge;
    this.#registry = registry;
  }

  /** @throws AsgardError as the bridge does, when nothing usable is known */
  async get(): Promise<OnlineViews> {
    const known = this.#known;
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : performance.now() - known.at;
    if (known !== undefined && ageMs < FRESH_MS) return known.value;
    const looking = this.#look();
    if (known === undefined || ageMs >= BRIDGE_AWAY_MS) return (await looking).value;
    if (ageMs < USABLE_MS) {
      looking.catch(() => undefined); // whoever asks later, waits and sees it
      return known.value;
    }
    try {
      return (await looking).value;
    } catch (error) {
      if (isRetryable(error)) return known.value;
      throw error;
    }
  }

  /** The registry as it is now. @throws AsgardError as the bridge does */
  async read(): Promise<OnlineViews> {
    this.#looking = undefined;
    return (await this.#look()).value;
  }

  /** The registry was changed: who asks next, looks at it. */
  invalidate(): void {
    this.#looking = undefined;
    if (this.#known !== undefined) this.#known = { ...this.#known, at: performance.now() - USABLE_MS };
  }

  #look(): Promise<Known> {
    if (this.#looking !== undefined) return this.#looking;
    const looking = this.#lookAnew().then((known) => {
      // One that began before a change was made here may not have seen it.
      if (this.#looking === looking) this.#known = known;
      return known;
    });
    const forget = () => {
      if (this.#looking === looking) this.#looking = undefined;
    };
    looking.then(forget, forget);
    this.#looking = looking;
    return looking;
  }

  async #lookAnew(): Promise<Known> {
    const before = this.#known;
    const at = performance.now();
    // Before the views: what is changed meanwhile is seen by the next look.
    const version = await this.#registry.registryVersion();
    if (before !== undefined && version !== null && version === before.version) return { ...before, at };
    return { value: await this.#bridge.request('online.views', {}, onlineViews), version, at };
  }
}
