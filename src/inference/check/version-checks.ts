import type { PrismaClient, ServableVersion } from '../../database/generated/client.ts';
import type { TransactionClient } from '../../database/generated/internal/prismaNamespace.ts';
import type { ProgramExecutor } from '../../executors/run-program.ts';
import type { MlflowClient } from '../../mlflow/client.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';
import type { ModelFiles } from '../../models/model-files.ts';
import { beginCheck, type Check, forgetCheck, recordCheck, servableVersion } from '../../models/servable-versions.ts';
import { hasCode } from '../../platform/errors.ts';
import type { Logger } from '../../platform/logger.ts';
import type { PythonEnvironments } from '../../python/environments.ts';
import { environmentOfVersion } from '../version-environment.ts';
import { environmentFiles } from './environment-files.ts';
import type { CheckReport } from './report.ts';
import { trainingFilesOf } from './training-files.ts';
import { tryModel } from './try-model.ts';
import { joblibLoader, placeBeside, writeBeside } from './wrapping.ts';

/** One line for a log, a tag and an answer. */
const MAX_REFUSAL = 1_000;

export interface VersionCheckOptions {
  readonly database: PrismaClient;
  readonly mlflow: MlflowClient;
  readonly environments: Pick<PythonEnvironments, 'prepare' | 'prepareLocked'>;
  readonly files: Pick<ModelFiles, 'hold'>;
  readonly executor: ProgramExecutor;
  /** What one model gets to be loaded and to predict. */
  readonly limitSeconds: number;
  readonly logger: Logger;
}

/** In whose name versions are tried. */
export interface CheckContext {
  readonly jobId: string | null;
  readonly signal: AbortSignal;
  /** Runs in the transaction that records what came of a version. */
  readonly onRecord?: (transaction: TransactionClient, version: ModelVersion, check: Check) => Promise<unknown>;
}

/** Tries registered versions, each in a clean process, and keeps what came of it: as a record, and as tags in MLflow. */
export class VersionChecks {
  readonly #options: VersionCheckOptions;

  constructor(options: VersionCheckOptions) {
    this.#options = options;
  }

  /** How long a record may say that its version is being tried, and be believed. */
  get limitSeconds(): number {
    return this.#options.limitSeconds;
  }

  /**
   * Tries a version, unless that was done before; a pickle becomes a whole MLflow model meanwhile. Safe to repeat.
   * @throws AsgardError UNAVAILABLE when it could not be tried, for no fault of the model's; the signal's reason
   */
  async check(version: ModelVersion, context: CheckContext): Promise<ServableVersion> {
    const { database } = this.#options;
    const known = await servableVersion(database, version);
    if (known !== null && known.status !== 'CHECKING') return known;
    await beginCheck(database, version, context.jobId);
    try {
      const check = await this.#try(version, context);
      await this.#record(version, check, context);
    } catch (error) {
      await forgetCheck(database, version);
      throw error;
    }
    return database.servableVersion.findUniqueOrThrow({
      where: { name_version: { name: version.name, version: version.version } },
    });
  }

  /** Has a version share what came of another one with the same files. */
  async copy(known: ServableVersion, version: ModelVersion, context: CheckContext): Promise<void> {
    const existing = await servableVersion(this.#options.database, version);
    if (existing !== null && existing.status !== 'CHECKING') return;
    const { refusal, traceback, exampleSource, loadSeconds, p50Ms, peakMemoryBytes, signature } = known;
    await this.#record(
      version,
      {
        refusal,
        traceback,
        exampleSource,
        loadSeconds,
        p50Ms,
        peakMemoryBytes: peakMemoryBytes === null ? null : Number(peakMemoryBytes),
        signature,
      },
      context,
    );
  }

  async #record(version: ModelVersion, check: Check, { jobId, onRecord }: CheckContext): Promise<void> {
    const { database, logger } = this.#options;
    await database.$transaction(async (transaction) => {
      await recordCheck(transaction, version, jobId, check);
      await onRecord?.(transaction, version, check);
    });
    const { name, version: number } = version;
    logger.info({ name, version: number, refusal: check.refusal, seconds: check.loadSeconds }, 'model.checked');
    await this.#tag(version, check);
  }

  async #try(version: ModelVersion, { jobId, signal }: CheckContext): Promise<Check> {
    const { database, mlflow, environments, files, executor, limitSeconds } = this.#options;
    using stack = new DisposableStack();
    const job = jobId === null ? null : await database.trainingJob.findUnique({ where: { id: jobId } });
    // All are waited for: what one of them holds is let go of when another fails.
    const [made, fetched, placed] = await Promise.allSettled([
      environmentOfVersion(database, environments, version, signal),
      files.hold(version, signal),
      placeBeside(mlflow, version, signal),
    ]);
    if (made.status === 'fulfilled') stack.use(made.value);
    if (fetched.status === 'fulfilled') stack.use(fetched.value);
    if (made.status === 'rejected') throw made.reason;
    if (fetched.status === 'rejected') return refusedFor(fetched.reason);
    if (placed.status === 'rejected') throw placed.reason;
    const [environment, place] = [made.value, placed.value];
    const report = await tryModel({
      executor,
      environmentFolder: environment.folder,
      modelFolder: fetched.value.path,
      dataFiles: job === null ? [] : trainingFilesOf(job),
      runId: place?.runId ?? null,
      limitSeconds,
      signal,
    });
    if (place !== null && report.mlmodel !== null) {
      const { lock, pythonVersion } = environment;
      const loader = report.pickled_with === 'joblib' ? await joblibLoader() : {};
      const files = { ...environmentFiles(lock, pythonVersion), ...loader, MLmodel: report.mlmodel };
      await writeBeside(mlflow, place, files, signal);
    }
    return checkOf(report);
  }

  /** For those who look in MLflow alone. The record is what counts: a server that is away changes nothing. */
  async #tag({ name, version }: ModelVersion, check: Check): Promise<void> {
    const { mlflow, logger } = this.#options;
    const tags = {
      'asgard.servable': String(check.refusal === null),
      'asgard.refusal': check.refusal,
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

function checkOf(report: CheckReport): Check {
  return {
    refusal: report.refusal?.slice(0, MAX_REFUSAL) ?? null,
    traceback: report.traceback,
    exampleSource: report.example_source,
    loadSeconds: report.load_seconds,
    p50Ms: report.p50_ms,
    peakMemoryBytes: report.peak_memory_bytes,
    signature: report.signature,
  };
}
