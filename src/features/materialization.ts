import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { z } from 'zod';
import type { Materialization, PrismaClient } from '../database/generated/client.ts';
import { MaterializationMode, type MaterializationTrigger } from '../database/generated/enums.ts';
import type { Listener } from '../database/listen.ts';
import { looks } from '../database/looks.ts';
import type { FeastBridge } from '../feast/bridge.ts';
import { nearestNames } from '../models/nearest-names.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { isStorableText } from '../platform/text.ts';
import { MATERIALIZATIONS_CHANNEL, MaterializationStore } from './materialization-store.ts';
import type { OnlineViewCache } from './online-views.ts';

/** Runs at once on one platform: each is one of the bridge's eight threads, a scan and a connection. */
const MAX_AT_ONCE = 2;
const RUN_LIMIT_MS = 2 * 3_600_000;
const RENEW_EVERY_MS = 5_000;

const outcome = z.object({
  mode: z.enum(MaterializationMode),
  rows_read: z.int(),
  rows_skipped: z.int(),
  values_written: z.int(),
  entities_deleted: z.int(),
  entities: z.int(),
  snapshot_id: z.string().nullable(),
});
const progress = z.object({ rows_read: z.int(), entities: z.int() });
const states = z.array(
  z
    .object({
      view: z.string(),
      is_behind: z.boolean(),
      lag_seconds: z.number().nullable(),
      materialized_until: z.iso.datetime({ offset: true }).nullable(),
      snapshot_id: z.string().nullable(),
      entities: z.int(),
      trouble: z.string().nullable(),
    })
    .transform((state) => ({
      featureView: state.view,
      isBehind: state.is_behind,
      lagSeconds: state.lag_seconds,
      materializedUntil: state.materialized_until === null ? null : new Date(state.materialized_until),
      snapshotId: state.snapshot_id,
      entities: state.entities,
      trouble: state.trouble,
    })),
);

/** How far the online values of a view have come. */
export type MaterializationState = z.output<typeof states>[number];

export interface MaterializationOptions {
  readonly database: PrismaClient;
  readonly listener: Listener;
  readonly bridge: Pick<FeastBridge, 'request'>;
  readonly views: OnlineViewCache;
  readonly logger: Logger;
}

/**
 * Brings online values up to their tables: one run of a view at a time, on whichever platform. A run is a row that its
 * platform holds by a lease, so that one whose platform is gone ends as FAILED. The values themselves change in one
 * transaction of the bridge's.
 */
export class MaterializationService implements AsyncDisposable {
  readonly #options: MaterializationOptions;
  readonly #store: MaterializationStore;
  readonly #stopping = new AbortController();
  readonly #waiting: Materialization[] = [];
  readonly #running = new Map<string, { readonly ended: Promise<void>; readonly abort: AbortController }>();
  #renewing: NodeJS.Timeout | undefined;

  constructor(options: MaterializationOptions) {
    this.#options = options;
    this.#store = new MaterializationStore(
      options.database,
      `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`,
    );
  }

  /**
   * Begins to materialize views, and resolves once that is noted. A view that is being materialized is joined.
   * @param names absent: all that are online
   * @throws AsgardError NOT_FOUND for a view that there is none of; CONFLICT for one that is not online; UNAVAILABLE when
   * the platform ends
   */
  async start(names: readonly string[] | undefined, trigger: MaterializationTrigger): Promise<Materialization[]> {
    const { views } = await this.#options.views.read();
    const online = [...views.values()].filter(({ isOnline }) => isOnline);
    const chosen = names === undefined ? online.map(({ name }) => name) : [...new Set(names)];
    for (const name of chosen) {
      const view = views.get(name);
      if (view === undefined) throw noSuchView(name, [...views.keys()]);
      if (!view.isOnline) {
        throw new AsgardError('CONFLICT', `feature view ${name} is not online: apply it with "online": true first`);
      }
    }
    const rows: Materialization[] = [];
    for (const name of chosen) {
      if (this.#stopping.signal.aborted) throw new AsgardError('UNAVAILABLE', 'the platform ends');
      const { row, isNew } = await this.#store.open(name, trigger);
      rows.push(row);
      if (isNew) this.#waiting.push(row);
    }
    this.#runNext();
    return rows;
  }

  /** @throws AsgardError NOT_FOUND */
  async get(id: string): Promise<Materialization> {
    const row = await this.find(id);
    if (row !== null) return row;
    throw new AsgardError('NOT_FOUND', `there is no materialization ${JSON.stringify(id.slice(0, 100))}`);
  }

  /** Null when there is none of this id. */
  async find(id: string): Promise<Materialization | null> {
    await this.#store.expire();
    return this.#store.find(id);
  }

  /** The newest `limit` of one view, or of all. */
  async list(featureView: string | undefined, limit: number): Promise<Materialization[]> {
    await this.#store.expire();
    return featureView === undefined || isStorableText(featureView) ? this.#store.list(featureView, limit) : [];
  }

  /** When each view was last begun; those that never were are missing. */
  lastStarts(): Promise<ReadonlyMap<string, Date>> {
    return this.#store.lastStarts();
  }

  /** How far these views have come, of those that are online. @throws AsgardError as the bridge does */
  states(names: readonly string[]): Promise<MaterializationState[]> {
    return this.#options.bridge.request('online.states', { views: names }, states);
  }

  /**
   * A run as it is now, then after each change; ends when it has ended, or when `signal` aborts.
   * @throws AsgardError NOT_FOUND
   */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<Materialization, void> {
    const channels = { [MATERIALIZATIONS_CHANNEL]: (changed: string) => changed === id };
    let before = '';
    for await (const _look of looks(this.#options.listener, channels, signal)) {
      const row = await this.get(id);
      const seen = JSON.stringify({ ...row, leaseExpiresAt: null }, withBigints);
      if (seen !== before) yield row;
      before = seen;
      if (row.completedAt !== null) return;
    }
  }

  /** Ends what runs here; the store stays as it was before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    const reason = new AsgardError('UNAVAILABLE', 'the platform ended while it ran');
    const queued = this.#waiting.splice(0).map((row) => this.#fail(row, reason));
    for (const { abort } of this.#running.values()) abort.abort(reason);
    await Promise.all([...queued, ...[...this.#running.values()].map(({ ended }) => ended)]);
    clearInterval(this.#renewing);
  }

  #runNext(): void {
    if (this.#stopping.signal.aborted) return;
    this.#renewing ??= setInterval(() => void this.#renew(), RENEW_EVERY_MS);
    while (this.#running.size < MAX_AT_ONCE) {
      const row = this.#waiting.shift();
      if (row === undefined) break;
      const abort = new AbortController();
      const ended = this.#run(row, abort.signal).finally(() => {
        this.#running.delete(row.id);
        this.#runNext();
      });
      this.#running.set(row.id, { ended, abort });
    }
    if (this.#running.size > 0 || this.#waiting.length > 0) return;
    clearInterval(this.#renewing);
    this.#renewing = undefined;
  }

  async #run(row: Materialization, signal: AbortSignal): Promise<void> {
    const { bridge, logger } = this.#options;
    const { id, featureView: view } = row;
    const onProgress = (message: unknown) => {
      const told = progress.safeParse(message);
      if (!told.success) return;
      const { rows_read: rowsRead, entities } = told.data;
      this.#store.write(id, { rowsRead, entities }).catch(() => undefined); // the next one tells more
    };
    try {
      if (!(await this.#store.write(id, { status: 'RUNNING', startedAt: new Date() }))) return;
      const options = { signal, onProgress, timeoutMs: RUN_LIMIT_MS };
      const came = await bridge.request('online.materialize', { view }, outcome, options);
      await this.#store.write(id, {
        status: 'COMPLETED',
        completedAt: new Date(),
        mode: came.mode,
        rowsRead: came.rows_read,
        rowsSkipped: came.rows_skipped,
        valuesWritten: came.values_written,
        entitiesDeleted: came.entities_deleted,
        entities: came.entities,
        snapshotId: came.snapshot_id,
      });
      logger.info({ materializationId: id, view, mode: came.mode, rows: came.rows_read }, 'materialization.completed');
    } catch (error) {
      await this.#fail(row, error);
    }
  }

  async #fail({ id, featureView: view }: Materialization, error: unknown): Promise<void> {
    const { logger } = this.#options;
    const isExpected = error instanceof AsgardError;
    logger.warn(
      { materializationId: id, view, ...(isExpected ? { problem: error.message } : { err: error }) },
      'materialization.failed',
    );
    const told = isExpected
      ? error.message
      : 'a fault of the platform, which its log has under the id of the materialization';
    await this.#store
      .write(id, { status: 'FAILED', completedAt: new Date(), error: told })
      // Its lease runs out, and then it is ended by whoever looks.
      .catch((problem: unknown) =>
        logger.warn({ materializationId: id, problem: messageOf(problem) }, 'materialization.not_written'),
      );
  }

  async #renew(): Promise<void> {
    const ids = [...this.#running.keys(), ...this.#waiting.map(({ id }) => id)];
    const held = await this.#store.renew(ids).catch(() => ids); // a database that is away ends no lease
    for (const [id, { abort }] of this.#running) {
      if (ids.includes(id) && !held.includes(id)) abort.abort(new AsgardError('CONFLICT', 'its lease was lost'));
    }
  }
}

function noSuchView(name: string, names: readonly string[]): AsgardError {
  const [nearest] = nearestNames(name, names, 1);
  const instead = nearest === undefined ? '' : `; did you mean ${JSON.stringify(nearest)}?`;
  return new AsgardError('NOT_FOUND', `there is no feature view ${JSON.stringify(name.slice(0, 100))}${instead}`);
}

function withBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
