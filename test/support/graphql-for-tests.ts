import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { assertEnumType } from 'graphql';
import { pino } from 'pino';
import { z } from 'zod';
import type { Services } from '../../schema/context.ts';
import { graphqlSchema } from '../../schema/index.ts';
import { createDatabase } from '../../src/database/client.ts';
import { PrismaClient } from '../../src/database/generated/client.ts';
import { Listener } from '../../src/database/listen.ts';
import { migrate } from '../../src/database/migrate.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { ExperimentService } from '../../src/experiments/service.ts';
import type { FeastBridge } from '../../src/feast/bridge.ts';
import type { FeatureStoreHealth } from '../../src/feast/health.ts';
import { OnlineStore } from '../../src/feast/online-store.ts';
import { changesNoticed } from '../../src/features/changes-noticed.ts';
import { MaterializationService } from '../../src/features/materialization.ts';
import { OnlineFeatureService } from '../../src/features/online.ts';
import { OnlineViewCache } from '../../src/features/online-views.ts';
import { featureServicesOn } from '../../src/features/services.ts';
import { TableService } from '../../src/features/tables.ts';
import { createGraphqlServer } from '../../src/http/graphql.ts';
import { buildHttpServer, listen } from '../../src/http/server.ts';
import { ServedModels } from '../../src/inference/served-models.ts';
import { InferenceService } from '../../src/inference/service.ts';
import { JobEventFeed } from '../../src/jobs/event-feed.ts';
import { STATUS_CHANNEL } from '../../src/jobs/event-store.ts';
import { JobService } from '../../src/jobs/service.ts';
import { MlflowClient } from '../../src/mlflow/client.ts';
import { type ServableKey, servableVersions } from '../../src/models/servable-versions.ts';
import { ModelService } from '../../src/models/service.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import { createMetricsRegistry } from '../../src/platform/metrics.ts';
import { buildRegistry } from '../../src/registry-parts.ts';
import { restRoutes } from '../../src/rest/rest-routes.ts';
import { PlatformStatusService } from '../../src/status/platform-status.ts';
import { Readiness } from '../../src/status/readiness.ts';
import { BRIDGE_AWAY, FEATURES_AWAY, STORE_AWAY } from './features-for-tests.ts';
import { poll } from './poll.ts';
import { quietPort } from './quiet-port.ts';

/** The GraphQL and REST APIs on a real port, over a real PostgreSQL of its own, with the domain's services and no worker. */
export interface GraphqlForTests extends AsyncDisposable {
  readonly url: string;
  readonly databaseUrl: string;
  readonly database: PrismaClient;
  readonly services: Services;
  /** `METHOD path` of every request that was sent to MLflow; empty it at will. */
  readonly mlflowRequests: string[];
  /** The SQL of every statement that resolvers and loaders sent; empty it at will. */
  readonly databaseQueries: string[];
  /** The lines that were logged so far, parsed. */
  readonly log: Record<string, unknown>[];
  /** Where files that tables are written from lie meanwhile. */
  readonly uploads: string;
  /** To the feature store, for who changes its registry. */
  readonly bridge: Pick<FeastBridge, 'request'>;
  /** How many iterations of the event feed are open: of one job's events, and of all jobs' transitions. */
  readonly open: { events: number; changes: number };
  /** Resolves once every iteration that is open now is told of all that happens from now on. */
  listening(): Promise<void>;
  /** Closes the server and listens again on the same port. */
  restart(): Promise<void>;
}

/** Of a file that a table is written from. */
export const UPLOAD_LIMIT_BYTES = 32 * 1024 * 1024;

/**
 * @param mlflowUrl absent: nothing answers where MLflow should be
 * @param sharedDatabaseUrl the database of another one, of which this becomes a replica; absent: a PostgreSQL of its own
 * @param bridge to a feature store; absent: there is none
 * @param featuresUrl the database of that store, for who reads online values
 * @param health of that store
 */
export async function startGraphql(
  mlflowUrl?: string,
  sharedDatabaseUrl?: string,
  bridge: Pick<FeastBridge, 'request'> = BRIDGE_AWAY,
  featuresUrl?: string,
  health: Pick<FeatureStoreHealth, 'current'> = FEATURES_AWAY,
): Promise<GraphqlForTests> {
  await using stack = new AsyncDisposableStack();
  const home = await mkdtemp(join(tmpdir(), 'asgard-graphql-'));
  stack.defer(() => rm(home, { recursive: true, force: true }));
  const databaseUrl = sharedDatabaseUrl ?? (await startDatabase(home, stack));
  const { client: database } = stack.use(createDatabase(databaseUrl, { poolSize: 5 }));
  const { client: observed, queries: databaseQueries } = observedDatabase(databaseUrl);
  stack.defer(() => observed.$disconnect());
  const listener = stack.use(await Listener.start({ url: databaseUrl }));
  const upstream = mlflowUrl ?? `http://127.0.0.1:${await quietPort()}`;
  const mlflowRequests: string[] = [];
  const mlflow = stack.use(
    new MlflowClient({
      baseUrl: () => upstream,
      onRequest: ({ method, path }) => void mlflowRequests.push(`${method} ${path}`),
    }),
  );
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'debug', base: null }, { write: (line) => void log.push(JSON.parse(line)) });
  const experiments = new ExperimentService(mlflow);
  const models = new ModelService(mlflow);
  const jobs = new JobService(database);
  const aroundModels = buildRegistry({ database, listener, mlflow, models, experiments, jobs });
  const events = stack.use(await JobEventFeed.start(database, listener));
  const open = countOpen(events);
  const status = new PlatformStatusService({
    mlflowTrackingUri: upstream,
    mlflow,
    experiments,
    models,
    jobs,
    features: health,
    readiness: new Readiness(),
    isolation: 'namespaces',
  });
  const load = () => Promise.reject(new AsgardError('UNAVAILABLE', 'no model can be loaded here'));
  const served = stack.use(new ServedModels({ load, memoryBytes: 0, logger }));
  const inference = new InferenceService({ models, served });
  const uploads = join(home, 'uploads');
  const tables = new TableService({ bridge, folder: uploads, uploadLimitBytes: UPLOAD_LIMIT_BYTES });
  const store = featuresUrl === undefined ? STORE_AWAY : stack.use(new OnlineStore(featuresUrl));
  const views = new OnlineViewCache(bridge, store);
  const noticed = changesNoticed(bridge, () => views.invalidate());
  const onlineFeatures = new OnlineFeatureService(views, store);
  const materializations = stack.use(new MaterializationService({ database, listener, bridge, views, logger }));
  const services = {
    jobs,
    events,
    experiments,
    models,
    ...aroundModels,
    tables,
    modelChecks: (versions: readonly ServableKey[]) => servableVersions(database, versions),
    inference,
    servedModels: served,
    onlineFeatures,
    materializations,
    ...featureServicesOn(noticed),
    status: () => status.current(),
    database: observed,
  };
  const metrics = createMetricsRegistry();
  const readiness = () => status.readiness();
  const onPredictionSerialized = () => {};
  const start = async (port: number) => {
    const app = await buildHttpServer({
      log: logger,
      graphql: createGraphqlServer({ services, log: logger }),
      routes: [
        async (server) =>
          void (await server.register(restRoutes({ ...services, metrics, readiness, onPredictionSerialized }))),
      ],
    });
    return { app, port: await listen(app, '127.0.0.1', port) };
  };
  // One that nobody takes while it restarts.
  let server = await start(await quietPort());
  stack.defer(() => server.app.close());
  const owned = stack.move();
  return {
    url: `http://127.0.0.1:${server.port}`,
    databaseUrl,
    database,
    services,
    mlflowRequests,
    databaseQueries,
    log,
    uploads,
    bridge: noticed,
    open,
    // LISTENs are answered in the order in which they were sent.
    listening: async () => (await listener.subscribe(STATUS_CHANNEL, () => {}))(),
    restart: async () => {
      await server.app.close();
      server = await start(server.port);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startDatabase(home: string, stack: AsyncDisposableStack): Promise<string> {
  const postgres = stack.use(
    await EmbeddedPostgres.start({ folder: join(home, 'postgres'), logFile: join(home, 'logs', 'postgres.log') }),
  );
  await migrate(postgres.url('asgard'));
  return postgres.url('asgard');
}

/** Sends an operation over HTTP, as any client would. */
export async function post(
  url: string,
  query: string,
  variables: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; body: GraphqlBody }> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, headers: response.headers, body: graphqlBody.parse(await response.json()) };
}

const codes = assertEnumType(graphqlSchema().getType('ErrorCode'))
  .getValues()
  .map(({ name }) => name);
/** No answer may hold a code that the schema does not name. */
const extensions = z.looseObject({ code: z.enum(codes).optional() });
const graphqlBody = z.object({
  data: z.any().optional(),
  errors: z.array(z.object({ message: z.string(), extensions: extensions.default({}) })).optional(),
});
type GraphqlBody = z.infer<typeof graphqlBody>;

/** A client of the same database that tells which SQL it sends. */
function observedDatabase(url: string): { client: PrismaClient; queries: string[] } {
  const queries: string[] = [];
  const adapter = new PrismaPg({ connectionString: url, max: 3 });
  const client = new PrismaClient({ adapter, log: [{ emit: 'event', level: 'query' }] });
  client.$on('query', ({ query }) => void queries.push(query));
  return { client, queries };
}

/** Counts a feed's open iterations; it gives what it gave before. */
function countOpen(feed: JobEventFeed): { events: number; changes: number } {
  const open = { events: 0, changes: 0 };
  const counted = <Args extends unknown[], T>(
    name: keyof typeof open,
    method: (...args: Args) => AsyncGenerator<T, void>,
  ) =>
    async function* (...args: Args): AsyncGenerator<T, void> {
      open[name] += 1;
      try {
        yield* method.apply(feed, args);
      } finally {
        open[name] -= 1;
      }
    };
  feed.follow = counted('events', feed.follow);
  feed.statusChanges = counted('changes', feed.statusChanges);
  return open;
}

/** Resolves once the condition holds. @throws when it does not in time */
export async function until(condition: () => boolean): Promise<void> {
  await poll(condition, (holds) => holds);
}
