import { z } from 'zod';
import { onlineRequest } from '../../src/features/online-request.ts';
import { FeastSdk, type Row } from './feast-sdk.ts';
import { FeaturesForTests } from './features-for-tests.ts';
import { type GraphqlForTests, startGraphql } from './graphql-for-tests.ts';
import { DTYPES, makeOnlineView } from './online-view.ts';
import { poll } from './poll.ts';
import { processesOf } from './processes.ts';

const outcome = z.looseObject({
  mode: z.string(),
  values_written: z.int(),
  entities_deleted: z.int(),
  rows_read: z.int(),
  rows_skipped: z.int(),
  entities: z.int(),
  snapshot_id: z.string().nullable(),
});
const materialization = z.looseObject({
  materialization_id: z.string(),
  feature_view: z.string(),
  status: z.string(),
  error: z.string().nullable(),
});
const started = z.object({ materializations: z.array(materialization) });

/** A feature store with online values, Feast's own code on it, and two platforms on one database, each with a bridge of its own. */
export class OnlineForTests implements AsyncDisposable {
  readonly features: FeaturesForTests;
  readonly sdk: FeastSdk;
  readonly here: GraphqlForTests;
  readonly there: GraphqlForTests;
  readonly #stack: AsyncDisposableStack;

  static async start(): Promise<OnlineForTests> {
    await using stack = new AsyncDisposableStack();
    const features = stack.use(await FeaturesForTests.start());
    const sdk = stack.use(await FeastSdk.start(features.settings, features.folder));
    const { url } = await features.databases.create();
    const platform = (bridge = features.bridge) => startGraphql(undefined, url, bridge, features.settings.databaseUrl);
    const there = stack.use(await platform(features.otherBridge()));
    const here = stack.use(await platform());
    return new OnlineForTests({ features, sdk, here, there, stack: stack.move() });
  }

  private constructor(parts: {
    features: FeaturesForTests;
    sdk: FeastSdk;
    here: GraphqlForTests;
    there: GraphqlForTests;
    stack: AsyncDisposableStack;
  }) {
    this.features = parts.features;
    this.sdk = parts.sdk;
    this.here = parts.here;
    this.there = parts.there;
    this.#stack = parts.stack;
  }

  /** @returns the name of the view, and of its table in `gold` */
  makeView(rows: readonly Row[], changes: object = {}): Promise<string> {
    return makeOnlineView(this.here.bridge, this.sdk, rows, changes);
  }

  /** By the bridge alone. */
  materialize(view: string, bridge = this.features.bridge): Promise<z.infer<typeof outcome>> {
    return bridge.request('online.materialize', { view }, outcome);
  }

  /** `total_purchases` of some customers. */
  async totals(view: string, customers: readonly number[]): Promise<unknown[]> {
    const { columns } = await this.read(view, customers, ['total_purchases']);
    return columns[0]?.cells.map(({ value }) => value) ?? [];
  }

  read(view: string, customers: readonly unknown[], names = Object.keys(DTYPES)) {
    const entities = { customer_id: [...customers] };
    const features = names.map((name) => `${view}:${name}`);
    return this.here.services.onlineFeatures.read(onlineRequest.parse({ features, entities }));
  }

  async rest(api: GraphqlForTests, path: string, body?: object): Promise<{ status: number; answer: unknown }> {
    const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(`${api.url}${path}`, body === undefined ? {} : json);
    return { status: response.status, answer: await response.json() };
  }

  /** Begins to materialize by REST. @returns the run's id @throws when it is refused */
  async start(api: GraphqlForTests, view: string): Promise<string> {
    const { answer } = await this.rest(api, '/feast/materialize', { feature_views: [view] });
    const [run] = started.parse(answer).materializations;
    if (run?.feature_view !== view) throw new Error(`another view is materialized: ${JSON.stringify(run)}`);
    return run.materialization_id;
  }

  async look(api: GraphqlForTests, id: string): Promise<z.infer<typeof materialization>> {
    return materialization.parse((await this.rest(api, `/feast/materializations/${id}`)).answer);
  }

  /** Resolves with a run once it has ended. */
  end(api: GraphqlForTests, id: string): Promise<z.infer<typeof materialization>> {
    return poll(
      () => this.look(api, id),
      ({ status }) => status === 'completed' || status === 'failed',
    );
  }

  /** Holds the writing of a view's values up until it is disposed of, or has been. */
  async heldUp(view: string): Promise<AsyncDisposable> {
    const client = await this.features.database.pool.connect();
    await client.query(`BEGIN; LOCK TABLE feast_online."asgard_${view}" IN ACCESS EXCLUSIVE MODE`);
    let isHeld = true;
    const release = async () => {
      if (!isHeld) return;
      isHeld = false;
      await client.query('ROLLBACK');
      client.release();
    };
    return { [Symbol.asyncDispose]: release };
  }

  /** @throws when a process of the store is left */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    const left = processesOf(this.features.folder);
    if (left.length > 0) throw new Error(`processes are left: ${JSON.stringify(left)}`);
  }
}
