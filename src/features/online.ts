import type { OnlineStore, OnlineValue } from '../feast/online-store.ts';
import type { FeatureValue } from '../feast/value-proto.ts';
import {
  type OnlineRequest,
  type RequestedFeature,
  type ResolvedRequest,
  resolveOnlineRequest,
} from './online-request.ts';
import type { OnlineViewCache } from './online-views.ts';
import { resolveTrainedFeatures, type WantedFeature } from './trained-features.ts';

/** What stands for the values that JSON has no form for, as the documents of both faces say it. */
export const VALUE_FORMS =
  'A whole number beyond 2^53 is a string of its digits, and so is a decimal; `NaN`, `Infinity` and `-Infinity` are these words; ' +
  'bytes are base64; a timestamp is seconds since 1970, and one with a zone ISO 8601 in that zone. A list holds no null: in its ' +
  'place is `NaN` for a float, 0, false, or an empty text, as in Feast; a timestamp may be null.';

/** `EXPIRED`: there is a value, but it is older than its view's ttl allows. */
export type OnlineStatus = 'PRESENT' | 'MISSING' | 'EXPIRED';

/** One feature of one entity row. */
interface OnlineCell {
  /** Null when it is not `PRESENT`; a present value may be null as well. */
  readonly value: FeatureValue;
  readonly status: OnlineStatus;
  /** Milliseconds since 1970; null when missing. */
  readonly eventAtMs: number | null;
  /** How long ago that was; null when missing. */
  readonly ageSeconds: number | null;
}

/** One feature of all entity rows. */
export interface OnlineColumn {
  readonly name: string;
  readonly view: string;
  readonly feature: string;
  /** One for each row of the request, in its order. */
  readonly cells: readonly OnlineCell[];
}

/** The features of some entities. */
export interface OnlineFeatures {
  readonly entities: OnlineRequest['entities'];
  readonly columns: readonly OnlineColumn[];
}

const MISSING: OnlineCell = { value: null, status: 'MISSING', eventAtMs: null, ageSeconds: null };

/** Reads the newest values of features, which materialization has brought into the online store. */
export class OnlineFeatureService {
  readonly #views: OnlineViewCache;
  readonly #store: Pick<OnlineStore, 'read'>;

  constructor(views: OnlineViewCache, store: Pick<OnlineStore, 'read'>) {
    this.#views = views;
    this.#store = store;
  }

  /**
   * The features of each entity row.
   * @throws AsgardError INVALID_INPUT for a name that is not known or a value that is no join key's; UNAVAILABLE
   */
  async read(request: OnlineRequest): Promise<OnlineFeatures> {
    return {
      entities: request.entities,
      columns: await this.#read(resolveOnlineRequest(request, await this.#views.get())),
    };
  }

  /**
   * The features of each entity row as a training set had them, under the names that the columns are wanted by.
   * @throws AsgardError CONFLICT for a feature that is not online now, and as `read` does
   */
  async readTrained(wanted: readonly WantedFeature[], entities: OnlineRequest['entities']): Promise<OnlineColumn[]> {
    return this.#read(resolveTrainedFeatures(wanted, entities, await this.#views.get()));
  }

  async #read({ features, views }: ResolvedRequest): Promise<OnlineColumn[]> {
    const found = await this.#store.read(views.map(({ source, ...read }) => ({ ...read, table: source.view.table })));
    const now = Date.now();
    const columnOf = ({ name, source, feature }: RequestedFeature): OnlineColumn => {
      const { ttlSeconds } = source.view;
      const place = views.findIndex((each) => each.source === source);
      const values = found[place]?.get(feature) ?? [];
      const cells = (views[place]?.keyOfRow ?? []).map((key) => cellOf(values[key], ttlSeconds, now));
      return { name, view: source.name, feature, cells };
    };
    return features.map(columnOf);
  }
}

function cellOf(found: OnlineValue | undefined, ttlSeconds: number | null, now: number): OnlineCell {
  if (found === undefined) return MISSING;
  const { value, eventAtMs } = found;
  const ageSeconds = (now - eventAtMs) / 1000;
  const isExpired = ttlSeconds !== null && ageSeconds > ttlSeconds;
  return { value: isExpired ? null : value, status: isExpired ? 'EXPIRED' : 'PRESENT', eventAtMs, ageSeconds };
}
