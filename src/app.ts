import { access, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Access } from './auth/access.ts';
import type { Config } from './config.ts';
import { createDatabase } from './database/client.ts';
import { Listener } from './database/listen.ts';
import { migrate } from './database/migrate.ts';
import { findIsolation, isolationTrouble } from './executors/isolation.ts';
import { ExperimentService } from './experiments/service.ts';
import { buildFeatureStore } from './feature-store.ts';
import { featureServicesOn } from './features/services.ts';
import { TableService } from './features/tables.ts';
import { createGraphqlServer } from './http/graphql.ts';
import { jobReports } from './http/job-reports.ts';
import { buildHttpServer, listen, localUrl } from './http/server.ts';
import { startPage } from './http/start-page.ts';
import { EntityFeatures } from './inference/entity-features.ts';
import { InferenceService } from './inference/service.ts';
import { VersionOrigins } from './inference/version-origin.ts';
import { buildJobWork } from './job-parts.ts';
import { JobCallNotes } from './jobs/call-notes.ts';
import { JobEventFeed } from './jobs/event-feed.ts';
import { FeatureReads } from './jobs/feature-reads.ts';
import { JobService } from './jobs/service.ts';
import { JobTracking } from './jobs/tracking.ts';
import { PlatformMetrics } from './metrics/platform-metrics.ts';
import { MlflowClient } from './mlflow/client.ts';
import { mlflowGateway } from './mlflow/gateway.ts';
import type { ModelVersion } from './mlflow/wire.ts';
import { CHECKED_CHANNEL, type ServableKey, servableVersions } from './models/servable-versions.ts';
import { ModelService } from './models/service.ts';
import { buildOnlineFeatures } from './online-features.ts';
import { AsgardError, messageOf } from './platform/errors.ts';
import { makeFolder } from './platform/folder.ts';
import { FolderLock } from './platform/lock-file.ts';
import type { Logger } from './platform/logger.ts';
import { choosePorts, keepPorts } from './ports.ts';
import { EnvironmentRecords } from './python/environment-records.ts';
import { PythonEnvironments, toolchainPython } from './python/environments.ts';
import { ScriptChecker } from './python/script-checker.ts';
import { buildRegistry } from './registry-parts.ts';
import { restRoutes } from './rest/rest-routes.ts';
import { startServers } from './servers.ts';
import { buildServing } from './serving.ts';
import { Shutdown } from './shutdown.ts';
import { PlatformStatusService } from './status/platform-status.ts';
import { Readiness } from './status/readiness.ts';
import { Deployer } from './worker/deployer.ts';
import { announceViews } from './worker/first-view.ts';
import type { JobWork } from './worker/job-work.ts';

/** Parts that end at the same time. The deadlines of all steps together, with those of the servers, stay within 10 s. */
const CLIENTS = 'clients';
const FACES = 'faces';

/** A data folder that is locked, servers that run, ports that listen. Disposing ends it all in order, within 10 s. */
export interface App extends AsyncDisposable {
  /** `http://<HOST>:<PORT>`, as programs on this machine reach it. */
  readonly url: string;
  /** `http://<HOST>:<MLFLOW_PORT>`, likewise. */
  readonly mlflowUrl: string;
  /** One line when scripts are less set apart from the platform than they could be: how far, and why. */
  readonly lessApart: string | null;
  /** Resolves when a part that the platform cannot be without has ended unasked; says so in one line. */
  readonly failed: Promise<AsgardError>;
  /** Resolves once all parts are there that were still being started; never when the platform ends before. */
  readonly ready: Promise<void>;
  /** How many jobs have scripts that go on when the platform ends. */
  readonly runningJobs: () => Promise<number>;
  /** Ends those scripts, also while the platform is being disposed of. */
  readonly cancelJobs: (reason: string) => Promise<void>;
}

/**
 * Builds the platform, part by part, and resolves once it answers. What takes longer (MLflow's start; on the first start
 * the base Python environment) goes on behind it, and the status says so.
 * @param stop ends the start as soon as the part that is being started is up
 * @throws AsgardError with one clear line for what the caller can mend; what was started has been ended again
 */
export async function startApp(config: Config, logger: Logger, stop: AbortSignal): Promise<App> {
  const shutdown = new Shutdown(logger);
  try {
    const parts = await build(config, logger, stop, shutdown);
    return { ...parts, [Symbol.asyncDispose]: () => shutdown.run() };
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function build(config: Config, logger: Logger, stop: AbortSignal, shutdown: Shutdown) {
  const { host, toolchain } = config;
  await checkToolchain(toolchain);
  const home = await makeDataFolder(config.home);
  shutdown.own('lock', 500, await FolderLock.acquire(join(home, 'lock')));
  const ports = await choosePorts(config, home, logger);
  const readiness = new Readiness();
  const python = toolchainPython(toolchain);
  const isolation = await findIsolation({ setting: config.isolation, python, dataFolder: home });
  const lessApart = isolationTrouble(isolation);
  readiness.setTrouble('isolation', lessApart);
  if (config.databaseUrl !== undefined) await migrateOwn(config.databaseUrl);
  const servers = await startServers({ config: { ...config, home }, logger, stop, shutdown, readiness });
  const { databaseUrl, mlflowUrl: upstream } = servers;
  if (config.databaseUrl === undefined) await migrate(databaseUrl);
  const refused = Promise.withResolvers<AsgardError>();
  const onFatal = (error: Error) =>
    refused.resolve(new AsgardError('UNAVAILABLE', `the database refuses the platform: ${error.message}`));
  const { client: database } = shutdown.own('database', 500, createDatabase(databaseUrl, { poolSize: 16 }), CLIENTS);
  const listener = await Listener.start({ url: databaseUrl, logger, onFatal });
  shutdown.own('listener', 500, listener, CLIENTS);
  const features = buildFeatureStore({
    config: { ...config, home },
    databaseUrl: servers.featuresUrl,
    socketUrl: servers.featuresSocketUrl,
    logger,
    shutdown,
    group: CLIENTS,
    readiness,
    onFeatureViews: announceViews,
  });
  const tables = new TableService({
    bridge: features.bridge,
    folder: join(home, 'uploads'),
    uploadLimitBytes: config.uploadLimitBytes,
  });
  const online = buildOnlineFeatures({ features, database, listener, config, logger, shutdown, group: FACES });
  let begun: JobWork | undefined; // what works on jobs begins after the ports listen
  const metrics: PlatformMetrics = new PlatformMetrics({
    workerSlots: config.workerSlots,
    runningHere: () => begun?.jobsInHand ?? 0,
    jobCounts: () => jobs.counts(),
    servedModels: () => served.list(),
    subscribers: () => events.subscribers,
  });
  const onRequest = metrics.mlflow.responded;
  const mlflow = shutdown.own('mlflow client', 500, new MlflowClient({ baseUrl: () => upstream, onRequest }), CLIENTS);

  const experiments = new ExperimentService(mlflow);
  const models = new ModelService(mlflow, servers.hasNoArtifactStore);
  const checker = new ScriptChecker({ python, folder: home, logger });
  shutdown.own('script checker', 500, checker, CLIENTS);
  const checkScript = (script: string) => checker.check(script);
  const jobs = new JobService(database, { checkScript, observer: metrics.jobs, maxQueued: config.maxQueued });
  const mustServe = (version: ModelVersion) => servable.pass(version);
  const aroundModels = buildRegistry({ database, listener, mlflow, models, experiments, jobs, mustServe });
  const events = await JobEventFeed.start(database, listener);
  shutdown.add('event feed', 500, async () => events[Symbol.dispose](), CLIENTS);
  const folder = config.environments;
  const observer = new EnvironmentRecords({ database, folder, logger });
  const limitBytes = config.environmentsLimitBytes;
  const environments = new PythonEnvironments({ folder, toolchain, limitBytes, observer });
  const tracker = new JobTracking(database, mlflow);
  const notes = new JobCallNotes(database);
  const { keepsTrainingRows: keepsRows } = config.features;
  const featureReads = new FeatureReads({ database, mlflow, keepsRows, logger });
  const { allowedOrigins, requestsPerMinute, trustedProxies } = config;
  const access = { access: new Access(config.apiKey), allowedOrigins, requestsPerMinute, trustedProxies };
  const { isKeyDemanded } = access.access;
  const gateway = (everything: boolean) => async (app: FastifyInstance) => {
    const { hasNoArtifactStore } = servers;
    await app.register(mlflowGateway, {
      upstream: () => upstream,
      everything,
      observer: tracker,
      notes,
      onRequest,
      onTransfer: metrics.mlflow.transferred,
      hasNoArtifactStore,
      isKeyDemanded,
      log: logger,
    });
    await app.register(jobReports, { observer: tracker, featureReads });
  };
  stop.throwIfAborted();

  // This port first: what is built next is told its address, which is not known before when a free port is taken.
  const mlflowServer = await buildHttpServer({ log: logger, access, routes: [metrics.http, gateway(true)] });
  shutdown.add('mlflow port', 1200, () => mlflowServer.close(), FACES);
  const mlflowPort = await listen(mlflowServer, host, ports.mlflowPort, 'MLFLOW_PORT');
  const mlflowUrl = localUrl(host, mlflowPort);

  const {
    served,
    gate: servable,
    filesFolder,
    begin: beginServing,
  } = await buildServing({
    config: { ...config, home },
    isolation: isolation.level,
    database,
    environments,
    mlflow,
    logger,
    shutdown,
    group: FACES,
  });
  const modelChecks = (versions: readonly ServableKey[]) => servableVersions(database, versions);
  const inference = new InferenceService({
    models,
    served,
    servable,
    checks: modelChecks,
    origins: new VersionOrigins(database),
    entityFeatures: new EntityFeatures(database, online.services.onlineFeatures),
    onPrediction: metrics.inference.predicted,
    limitMs: config.serving.predictionLimitMs,
    logger,
  });
  await listener.subscribe(CHECKED_CHANNEL, (modelName) => inference.lookAgain(modelName));
  const platform = new PlatformStatusService({
    mlflowTrackingUri: mlflowUrl,
    mlflow,
    experiments,
    models,
    jobs,
    features: features.health,
    readiness,
    isolation: isolation.level,
  });
  const status = () => platform.current();
  const featureParts = { tables, ...featureServicesOn(online.bridge), ...online.services };
  const services = {
    jobs,
    events,
    experiments,
    models,
    ...aroundModels,
    modelChecks,
    inference,
    servedModels: served,
    ...featureParts,
    status,
    database,
  };
  const api = await buildHttpServer({
    log: logger,
    access,
    maxGraphqlBytes: config.serving.requestLimitBytes,
    graphql: createGraphqlServer({
      services,
      log: logger,
      hasGraphiql: config.hasGraphiql,
      hasIntrospection: config.hasIntrospection,
      plugins: [metrics.graphql],
      onPredictionSerialized: metrics.inference.serialized,
    }),
    routes: [
      metrics.http,
      gateway(false),
      async (app) => void (await app.register(startPage(mlflowPort))),
      async (app) =>
        void (await app.register(
          restRoutes(
            {
              ...services,
              metrics: metrics.registry,
              onPredictionSerialized: metrics.inference.serialized,
              readiness: () => platform.readiness(),
            },
            config.serving.requestLimitBytes,
          ),
        )),
    ],
  });
  shutdown.add('api port', 1200, () => api.close(), FACES);
  const port = await listen(api, host, ports.port, 'PORT');
  const url = localUrl(host, port);
  await keepPorts(home, { port, mlflowPort });

  const work = await buildJobWork({
    config: { ...config, home },
    isolation: isolation.level,
    database,
    databaseUrl,
    listener,
    mlflowUrl: upstream,
    // That port rather than the API's: the links that MLflow's client prints lead to its UI.
    gatewayUrl: config.gatewayUrl ?? mlflowUrl,
    environments,
    features,
    filesFolder,
    readiness,
    logger,
    observer: metrics.jobs,
    shutdown,
  });
  begun = work;
  beginServing((task) => work.startWarm(task));
  shutdown.own(
    'deployer',
    500,
    await Deployer.start({ database, listener, models, mustServe, logger, registry: aroundModels.registry }),
  );
  stop.throwIfAborted();
  checker.warmUp();
  return {
    url,
    mlflowUrl,
    lessApart,
    failed: Promise.race([servers.failed, refused.promise]),
    ready: readiness.whenReady(),
    runningJobs: () => work.countRunning(),
    cancelJobs: (reason: string) => work.cancelRunning(reason),
  };
}

async function checkToolchain(toolchain: string): Promise<void> {
  await access(toolchainPython(toolchain)).catch((cause: unknown) => {
    const hint = 'run the set-up (npm run setup), or set ASGARD_TOOLCHAIN to the folder that it made';
    throw new AsgardError('UNAVAILABLE', `there is no Python environment in ${toolchain}: ${hint}`, { cause });
  });
}

/** @returns its true path: one name, by whichever link it was given, for its lock and for what runs in it */
async function makeDataFolder(home: string): Promise<string> {
  await makeFolder(join(home, 'logs'), 0o700).catch((cause: unknown) => {
    const message = `the data folder ${home} cannot be made: set ASGARD_HOME to a folder that you may write (${messageOf(cause)})`;
    throw new AsgardError('UNAVAILABLE', message, { cause });
  });
  return realpath(home);
}

/** Before anything else is started: whoever names a database wants to know at once that it cannot be used. */
async function migrateOwn(databaseUrl: string): Promise<void> {
  await migrate(databaseUrl).catch((cause: unknown) => {
    const { host, pathname } = new URL(databaseUrl);
    throw new AsgardError('UNAVAILABLE', `DATABASE_URL (${host}${pathname}) cannot be used: ${messageOf(cause)}`, {
      cause,
    });
  });
}
