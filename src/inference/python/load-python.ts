import { availableParallelism } from 'node:os';
import type { PrismaClient } from '../../database/generated/client.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';
import type { ModelFiles } from '../../models/model-files.ts';
import { AsgardError, messageOf } from '../../platform/errors.ts';
import type { PythonEnvironment, PythonEnvironments } from '../../python/environments.ts';
import type { LoadContext, ServedModel } from '../engine.ts';
import { type ModelExecutor, ModelProcess } from './model-process.ts';
import type { ProcessMemory } from './process-memory.ts';
import { PythonModel } from './python-model.ts';

export interface PythonLoaderOptions {
  readonly database: PrismaClient;
  readonly environments: Pick<PythonEnvironments, 'prepare' | 'prepareLocked'>;
  readonly files: Pick<ModelFiles, 'hold'>;
  readonly executor: ModelExecutor;
  readonly memory: ProcessMemory;
}

/** Loads versions into Python processes, each in the environment that it was trained in. */
export class PythonLoader {
  readonly #options: PythonLoaderOptions;

  constructor(options: PythonLoaderOptions) {
    this.#options = options;
  }

  /** @throws AsgardError UNAVAILABLE with the reason; the signal's reason */
  async load(version: ModelVersion, { signal, hasRoomFor }: LoadContext): Promise<ServedModel> {
    const { files, executor, memory } = this.#options;
    await using stack = new AsyncDisposableStack();
    // Both are waited for: what one of them holds is let go of when the other fails.
    const [made, fetched] = await Promise.allSettled([
      this.#environmentOf(version, signal),
      files.hold(version, signal),
    ]);
    if (made.status === 'fulfilled') stack.use(made.value);
    if (fetched.status === 'fulfilled') stack.use(fetched.value);
    if (made.status === 'rejected') throw made.reason;
    if (fetched.status === 'rejected') throw fetched.reason;
    const options = { executor, environmentFolder: made.value.folder, modelFolder: fetched.value.path };
    const start = (stop: AbortSignal) => ModelProcess.start({ ...options, signal: stop });
    const model = await PythonModel.load({ start, memory, hasRoomFor, maxProcesses: availableParallelism() }, signal);
    const held = stack.move();
    void model.ended.then(() => held.disposeAsync());
    return model;
  }

  /** The environment that the version was trained in; the base environment for a version that no job made. */
  async #environmentOf(version: ModelVersion, signal: AbortSignal): Promise<PythonEnvironment> {
    const { environments } = this.#options;
    const trained = await this.#trainedIn(version);
    try {
      if (trained === null) return await environments.prepare({ requirements: [], signal });
      return await environments.prepareLocked(trained.lock, trained.python, { signal });
    } catch (cause) {
      signal.throwIfAborted();
      const of = `model ${version.name} version ${version.version}`;
      // Whatever it is, the caller's request is not what is wrong.
      throw new AsgardError('UNAVAILABLE', `the environment of ${of} could not be made: ${messageOf(cause)}`, {
        cause,
      });
    }
  }

  /** By the run first: what is known of a name and number may be of a model that was deleted. */
  async #trainedIn({ name, version, runId }: ModelVersion) {
    const { database } = this.#options;
    const select = { job: { select: { environment: true } } };
    const run = runId === null ? null : await database.jobRun.findUnique({ where: { runId }, select });
    if (run !== null) return run.job.environment;
    const made = await database.jobModelVersion.findUnique({ where: { name_version: { name, version } }, select });
    return made?.job.environment ?? null;
  }
}
