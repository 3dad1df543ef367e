import { setTimeout as delay } from 'node:timers/promises';
import type { PrismaClient, ServableVersion } from '../../database/generated/client.ts';
import type { TransactionClient } from '../../database/generated/internal/prismaNamespace.ts';
import type { ProgramExecutor } from '../../executors/run-program.ts';
import type { StartWarm } from '../../executors/warm-start.ts';
import type { MlflowClient } from '../../mlflow/client.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';
import type { ModelFiles } from '../../models/model-files.ts';
import { type Check, forgetCheck, recordCheck, servableVersion } from '../../models/servable-versions.ts';
import { VersionLease } from '../../models/version-lease.ts';
import { AsgardError, hasCode } from '../../platform/errors.ts';
import type { Logger } from '../../platform/logger.ts';
import type { PythonEnvironment, PythonEnvironments } from '../../python/environments.ts';
import { environmentOfVersion } from '../version-environment.ts';
import { environmentFiles } from './environment-files.ts';
import type { CheckReport } from './report.ts';
import { trainingData } from './training-data.ts';
import { runOf } from './training-files.ts';
import { tryModel } from './try-model.ts';
import { type ArtifactFolder, joblibLoader, placeBeside, writeBeside } from './wrapping.ts';

/** How often what another worker is trying is looked at. */
const POLL_MS = 100;
/** One line for a log, a tag and an answer. */
const MAX_REFUSAL = 1_000;

export interface VersionCheckOptions {
  readonly database: PrismaClient;
  readonly mlflow: MlflowClient;
  readonly environments: Pick<PythonEnvironments, 'prepare' | 'prepareLocked'>;
  readonly files: Pick<ModelFiles, 'hold'>;
  readonly executor: ProgramExecutor;
  /** Absent: the executor alone starts what loads a model. */
  readonly startWarm?: StartWarm;
  /** What one model gets to be loaded and to predict. */
  readonly limitSeconds: number;
  readonly logger: Logger;
}

/** In whose name versions are tried. */
export interface CheckContext {
  readonly jobId: string | null;
  readonly signal: AbortSignal;
  /** Has what loads a model come in its turn; absent: at once. */
  readonly inTurn?: <T>(work: () => Promise<T>) => Promise<T>;
  /** Runs in the transaction that records what came of a version. */
  readonly onRecord?: (transaction: TransactionClient, version: ModelVersion, check: Check) => Promise<unknown>;
}

/** Tries registered versions, each in a clean process, and keeps what came of it: as a record, and as tags in MLflow. */
export class VersionChecks {
  readonly #options: VersionCheckOptions;

  constructor(options: VersionCheckOptions) {
    this.#options = options;
  }

  /**
   * Tries a version, unless that was done before, or is being done: then it waits for what comes of it. A pickle becomes a whole
   * MLflow model meanwhile. Safe to repeat.
   * @throws AsgardError UNAVAILABLE when it could not be tried, for no fault of the model's; NOT_FOUND when another version has its name
   * and number by now; the signal's reason
   */
  async check(version: ModelVersion, context: CheckContext): Promise<ServableVersion> {
    const { database } = this.#options;
    for (;;) {
      context.signal.throwIfAborted();
      const known = await this.#known(version);
      if (known !== null && known.status !== 'CHECKING') {
        // Somebody asked for it before the job that made it came to that.
        if (known.jobId === null && context.jobId !== null) await this.#keep(version, checkIn(known), context);
        return known;
      }
      await using lease = await VersionLease.toCheck(database, version, context.jobId);
      if (lease !== null) return await this.#checkHeld(version, context, lease);
      await delay(POLL_MS, undefined, { signal: context.signal }).catch(() => {});
    }
  }

  /** Has a version share what came of another one with the same files. */
  async copy(known: ServableVersion, version: ModelVersion, context: CheckContext): Promise<void> {
    const existing = await servableVersion(this.#options.database, version);
    if (existing !== null && existing.status !== 'CHECKING') return;
    await this.#keep(version, checkIn(known), context);
  }

  async #checkHeld(version: ModelVersion, context: CheckContext, { holder }: VersionLease): Promise<ServableVersion> {
    const { database } = this.#options;
    const { inTurn = (work) => work() } = context;
    try {
      await this.#record(version, await inTurn(() => this.#try(version, context)), context);
    } catch (error) {
      await forgetCheck(database, version, holder);
      throw error;
    }
    return database.servableVersion.findUniqueOrThrow({
      where: { name_version: { name: version.name, version: version.version } },
    });
  }

  /** @throws AsgardError NOT_FOUND */
  async #known({ name, version, createdAt }: ModelVersion): Promise<ServableVersion | null> {
    const { database } = this.#options;
    const known = await database.servableVersion.findUnique({ where: { name_version: { name, version } } });
    const age = (known?.registeredAt ?? createdAt).getTime() - createdAt.getTime();
    if (age > 0) throw new AsgardError('NOT_FOUND', `model ${name} version ${version} was deleted and registered anew`);
    return age === 0 ? known : null;
  }

  async #keep(version: ModelVersion, check: Check, context: CheckContext): Promise<void> {
    await this.#tag(version, check);
    await this.#record(version, check, context);
  }

  /** Comes last: what has a record is never tried again, and so has all that belongs to it. */
  async #record(version: ModelVersion, check: Check, { jobId, onRecord }: CheckContext): Promise<void> {
    const { database, logger } = this.#options;
    await database.$transaction(async (transaction) => {
      await recordCheck(transaction, version, jobId, check);
      await onRecord?.(transaction, version, check);
    });
    const { name, version: number } = version;
    logger.info({ name, version: number, refusal: check.refusal, seconds: check.loadSeconds }, 'model.checked');
  }

  /** Its tags are set, and the files of a whole MLflow model are put beside a pickle, by the time that this resolves. */
  async #try(version: ModelVersion, { signal }: CheckContext): Promise<Check> {
    const { database, environments, files, executor, startWarm, limitSeconds } = this.#options;
    using stack = new DisposableStack();
    // All are waited for: what one of them holds is let go of when another fails.
    const [made, fetched, found] = await Promise.allSettled([
      environmentOfVersion(database, environments, version, signal),
      files.hold(version, signal),
      this.#runAndPlace(version, signal),
    ]);
    if (made.status === 'fulfilled') stack.use(made.value);
    if (fetched.status === 'fulfilled') stack.use(fetched.value);
    if (made.status === 'rejected') throw made.reason;
    if (fetched.status === 'rejected') {
      const check = refusedFor(fetched.reason);
      await this.#tag(version, check);
      return check;
    }
    if (found.status === 'rejected') throw found.reason;
    const [environment, { run, place }] = [made.value, found.value];
    const report = await tryModel({
      executor,
      startWarm,
      environmentFolder: environment.folder,
      modelFolder: fetched.value.path,
      training: await trainingData(database, version, run),
      runId: place?.runId ?? null,
      limitSeconds,
      signal,
    });
    const check = checkOf(report);
    await Promise.all([this.#tag(version, check), place && this.#wrap(place, report, environment, signal)]);
    return check;
  }

  async #wrap(
    place: ArtifactFolder,
    { mlmodel, pickled_with: by }: CheckReport,
    { lock, pythonVersion }: PythonEnvironment,
    signal: AbortSignal,
  ): Promise<void> {
    if (mlmodel === null) return;
    const loader = by === 'joblib' ? await joblibLoader() : {};
    const files = { ...environmentFiles(lock, pythonVersion), ...loader, MLmodel: mlmodel };
    await writeBeside(this.#options.mlflow, place, files, signal);
  }

  /** The run of a version, and where its files lie among that's artifacts. */
  async #runAndPlace(version: ModelVersion, signal: AbortSignal) {
    const { mlflow } = this.#options;
    const run = await runOf(mlflow, version, signal);
    return { run, place: run === null ? null : await placeBeside(mlflow, version, run, signal) };
  }

  /** For those who look in MLflow alone. The record is what counts: a server that is away changes nothing. */
  async #tag({ name, version }: ModelVersion, check: Check): Promise<void> {
    const { mlflow, logger } = this.#options;
    const tags = {
      'asgard.servable': String(check.refusal === null),
      'asgard.refusal': check.refusal,
      'asgard.warning': check.warning,
      'asgard.load_seconds': check.loadSeconds,
      'asgard.predict_p50_ms': check.p50Ms,
      'asgard.peak_memory_bytes': check.peakMemoryBytes,
    };
    const set = Object.entries(tags).flatMap(([key, value]) =>
      value == null ? [] : [mlflow.registry.setVersionTag(name, version, key, String(value))],
    );
    for (const outcome of await Promise.allSettled(set)) {
      if (outcome.status === 'rejected') logger.warn({ name, version, err: outcome.reason }, 'model.not_tagged');
    }
  }
}

/** Of a version whose files will never be had. @throws what was thrown, when it may pass */
function refusedFor(error: unknown): Check {
  if (!hasCode(error, 'NOT_FOUND') && !hasCode(error, 'TOO_LARGE')) throw error;
  return { refusal: `it cannot be loaded: ${error.message}`.slice(0, MAX_REFUSAL) };
}

/** What a record says of it. */
function checkIn({ peakMemoryBytes, ...known }: ServableVersion): Check {
  const { refusal, warning, traceback, exampleSource, loadSeconds, p50Ms, signature } = known;
  const peak = peakMemoryBytes === null ? null : Number(peakMemoryBytes);
  return { refusal, warning, traceback, exampleSource, loadSeconds, p50Ms, peakMemoryBytes: peak, signature };
}

function checkOf(report: CheckReport): Check {
  return {
    refusal: report.refusal?.slice(0, MAX_REFUSAL) ?? null,
    warning: report.warning?.slice(0, MAX_REFUSAL) ?? null,
    traceback: report.traceback,
    exampleSource: report.example_source,
    loadSeconds: report.load_seconds,
    p50Ms: report.p50_ms,
    peakMemoryBytes: report.peak_memory_bytes,
    signature: report.signature,
  };
}
