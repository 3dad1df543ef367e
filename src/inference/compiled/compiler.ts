import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../../config.ts';
import type { PrismaClient } from '../../database/generated/client.ts';
import type { ProgramExecutor } from '../../executors/run-program.ts';
import type { MlflowClient } from '../../mlflow/client.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';
import type { ModelFiles } from '../../models/model-files.ts';
import { recordCompiled, type ServableKey } from '../../models/servable-versions.ts';
import { VersionLease } from '../../models/version-lease.ts';
import { AsgardError, hasCode, isRetryable, messageOf } from '../../platform/errors.ts';
import { FileLock } from '../../platform/file-lock.ts';
import type { Logger } from '../../platform/logger.ts';
import { Repeated } from '../../platform/repeated.ts';
import type { PythonEnvironments } from '../../python/environments.ts';
import { type TrainingData, trainingData } from '../check/training-data.ts';
import { runOf } from '../check/training-files.ts';
import { environmentOfVersion } from '../version-environment.ts';
import { type CompileResult, compileModel } from './compile-model.ts';
import { CompiledModel } from './compiled-model.ts';
import { removeUnused, storeCompiled } from './compiled-store.ts';

const REQUIREMENTS = join(PROJECT_ROOT, 'python', 'model-compile.in');
const LOOK_MS = 2_000;
const CLEAN_MS = 3_600_000;
/** A version that could not be compiled for no fault of its own is left alone for so long. */
const PAUSE_SECONDS = 60;

export interface CompilerOptions {
  readonly database: PrismaClient;
  readonly mlflow: MlflowClient;
  readonly environments: PythonEnvironments;
  readonly files: Pick<ModelFiles, 'hold'>;
  readonly executor: ProgramExecutor;
  /** One at a time of all platforms that share this file. */
  readonly lockPath: string;
  readonly logger: Logger;
}

/** What compiling takes beside the packages of a model. */
export async function compileRequirements(): Promise<string[]> {
  const lines = (await readFile(REQUIREMENTS, 'utf8')).split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/**
 * Compiles versions that have passed their check, one after the other, beside everything else. A version is claimed by a lease
 * in the database; one whose platform was killed is claimed again some seconds later.
 */
export class Compiler implements AsyncDisposable {
  readonly #options: CompilerOptions;
  readonly #stop = new AbortController();
  readonly #work: Repeated;
  readonly #cleaning: Repeated;

  constructor(options: CompilerOptions) {
    this.#options = options;
    this.#work = new Repeated(LOOK_MS, () => this.#quietly(() => this.#next()));
    this.#cleaning = new Repeated(CLEAN_MS, () => this.#quietly(() => removeUnused(options.database)));
  }

  /** Calls off what is being compiled; another platform, or the next start, does it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new AsgardError('UNAVAILABLE', 'the platform is shutting down'));
    await this.#work[Symbol.asyncDispose]();
    await this.#cleaning[Symbol.asyncDispose]();
  }

  async #quietly(work: () => Promise<void>): Promise<void> {
    if (this.#stop.signal.aborted) return;
    await work().catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      // It is looked again soon; while the platform starts, MLflow is not there yet.
      const level = isRetryable(error) ? 'debug' : 'warn';
      this.#options.logger[level]({ reason: messageOf(error) }, 'model.not_compiled');
    });
  }

  async #next(): Promise<void> {
    const { database, lockPath } = this.#options;
    using alone = await FileLock.tryAcquire(lockPath, 'exclusive');
    if (alone === null) return;
    const claimed = await VersionLease.toCompile(database);
    if (claimed === null) return;
    await using lease = claimed.lease;
    try {
      await this.#compileClaimed(claimed.key);
    } catch (error) {
      // Another one comes first meanwhile.
      if (!this.#stop.signal.aborted) await lease.keepFor(PAUSE_SECONDS);
      throw error;
    }
  }

  async #compileClaimed(key: ServableKey): Promise<void> {
    const { database, mlflow, logger } = this.#options;
    const { name, version, createdAt } = key;
    const registered = await mlflow.getModelVersion(name, version).catch((error: unknown) => {
      if (hasCode(error, 'NOT_FOUND')) return null;
      throw error;
    });
    const startedAt = performance.now();
    const result =
      registered === null || registered.createdAt.getTime() !== createdAt.getTime()
        ? { refusal: 'the version is no longer registered' }
        : await this.#compile(registered);
    const seconds = Math.round(performance.now() - startedAt) / 1000;
    if (result.refusal === null) {
      const compiledKey = await storeCompiled(database, result);
      const proof = { ...result.proof, all_seconds: seconds };
      await recordCompiled(database, key, { status: 'COMPILED', compiledKey, proof });
    } else await recordCompiled(database, key, { status: 'REFUSED', refusal: result.refusal });
    logger.info({ name, version, seconds, refusal: result.refusal }, 'model.compiled');
    const engine = result.refusal === null ? 'onnx' : 'python';
    await mlflow.registry.setVersionTag(name, version, 'asgard.engine', engine).catch(() => {});
  }

  async #compile(version: ModelVersion): Promise<CompileResult> {
    const { database, environments, files, executor } = this.#options;
    const { signal } = this.#stop;
    await using stack = new AsyncDisposableStack();
    const own = stack.use(await environmentOfVersion(database, environments, version, signal));
    const added = await compileRequirements();
    const pinned = own.lock.split('\n').filter((line) => /^[A-Za-z0-9]/.test(line));
    const environment = await environments
      .prepare({ requirements: [...pinned, ...added], signal })
      .catch((error: unknown) => {
        if (hasCode(error, 'INVALID_INPUT')) return messageOf(error);
        throw error;
      });
    if (typeof environment === 'string') return { refusal: `its environment takes no ONNX packages: ${environment}` };
    stack.use(environment);
    const folder = stack.use(await files.hold(version, signal));
    const training = await this.#trainingData(version);
    const options = { executor, environmentFolder: environment.folder, modelFolder: folder.path, training, signal };
    const result = await compileModel(options);
    if (result.refusal !== null) return result;
    try {
      await using _model = await CompiledModel.load(result.file, result.description);
      return result;
    } catch (error) {
      return { refusal: messageOf(error) };
    }
  }

  async #trainingData(version: ModelVersion): Promise<TrainingData> {
    const { database, mlflow } = this.#options;
    return trainingData(database, version, await runOf(mlflow, version, this.#stop.signal));
  }
}
