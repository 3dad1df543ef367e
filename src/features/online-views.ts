import { z } from 'zod';
import type { FeastBridge } from '../feast/bridge.ts';
import { JOIN_KEY_TYPES } from '../feast/entity-key.ts';
import { isRetryable } from '../platform/errors.ts';

/** Younger than this, what is known is used as it is. */
const FRESH_MS = 2_000;
/** Up to this age it is used once more while it is read anew behind it. Beyond it, whoever asks waits. */
const USABLE_MS = 5_000;
/** While the bridge is away, reads go on with what was known, for this long. */
const BRIDGE_AWAY_MS = 10 * 60_000;

const named = z.object({ name: z.string(), type: z.string() });

const onlineView = z.object({
  name: z.string(),
  online_table: z.string(),
  is_online: z.boolean(),
  ttl_seconds: z.number().positive().nullable(),
  every_seconds: z.int().min(0).nullable(),
  join_keys: z.array(z.object({ name: z.string(), type: z.enum(JOIN_KEY_TYPES) })),
  features: z.array(named),
});

const answer = z.object({
  views: z.array(onlineView),
  services: z.array(z.object({ name: z.string(), features: z.array(z.string()) })),
});

/** A feature view, as far as reading its online values goes. */
export interface OnlineView {
  readonly name: string;
  /** Of Feast's online store. */
  readonly table: string;
  readonly isOnline: boolean;
  /** How old a value may be; null for any age. */
  readonly ttlSeconds: number | null;
  /** Between two scheduled materializations, by its tag `materialize_every_seconds`: 0 for never; null when it says none. */
  readonly everySeconds: number | null;
  readonly joinKeys: z.infer<typeof onlineView>['join_keys'];
  /** By their names, with their types as Feast names them. */
  readonly features: ReadonlyMap<string, string>;
}

/** What the registry holds. */
export interface OnlineViews {
  readonly views: ReadonlyMap<string, OnlineView>;
  /** The `view:feature` of each feature service. */
  readonly services: ReadonlyMap<string, readonly string[]>;
}

/**
 * The registry's views and services, kept for a short time: a change made elsewhere is seen after 5 seconds at the latest,
 * one made here, with `invalidate`, at once.
 */
export class OnlineViewCache {
  readonly #bridge: Pick<FeastBridge, 'request'>;
  #known: { readonly value: OnlineViews; readonly at: number } | undefined;
  #reading: Promise<OnlineViews> | undefined;

  constructor(bridge: Pick<FeastBridge, 'request'>) {
    this.#bridge = bridge;
  }

  /** @throws AsgardError as the bridge does, when nothing usable is known */
  async get(): Promise<OnlineViews> {
    const known = this.#known;
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : performance.now() - known.at;
    if (known !== undefined && ageMs < FRESH_MS) return known.value;
    const reading = this.#read();
    if (known === undefined || ageMs >= BRIDGE_AWAY_MS) return reading;
    const orKnown = reading.catch((error: unknown) => {
      if (isRetryable(error)) return known.value;
      throw error;
    });
    if (ageMs >= USABLE_MS) return orKnown;
    orKnown.catch(() => undefined); // whoever asks later, waits and sees it
    return known.value;
  }

  /** The registry as it is now. @throws AsgardError as the bridge does */
  read(): Promise<OnlineViews> {
    this.invalidate();
    return this.#read();
  }

  /** Forgets what is known: the registry was changed. */
  invalidate(): void {
    this.#known = undefined;
    this.#reading = undefined;
  }

  #read(): Promise<OnlineViews> {
    if (this.#reading !== undefined) return this.#reading;
    const startedAt = performance.now();
    const reading = this.#bridge.request('online.views', {}, answer).then((read) => {
      const value = present(read);
      // One that began before a change was made here may not have seen it.
      if (this.#reading === reading) this.#known = { value, at: startedAt };
      return value;
    });
    const forget = () => {
      if (this.#reading === reading) this.#reading = undefined;
    };
    reading.then(forget, forget);
    this.#reading = reading;
    return reading;
  }
}

function present({ views, services }: z.infer<typeof answer>): OnlineViews {
  const present = views.map(
    (view): OnlineView => ({
      name: view.name,
      table: view.online_table,
      isOnline: view.is_online,
      ttlSeconds: view.ttl_seconds,
      everySeconds: view.every_seconds,
      joinKeys: view.join_keys,
      features: new Map(view.features.map(({ name, type }) => [name, type])),
    }),
  );
  return {
    views: new Map(present.map((view) => [view.name, view])),
    services: new Map(services.map(({ name, features }) => [name, features])),
  };
}
