import { availableParallelism } from 'node:os';
import type { PrismaClient } from '../../database/generated/client.ts';
import type { StartWarm } from '../../executors/warm-start.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';
import type { ModelFiles } from '../../models/model-files.ts';
import type { PythonEnvironments } from '../../python/environments.ts';
import type { LoadContext, ServedModel } from '../engine.ts';
import { environmentOfVersion } from '../version-environment.ts';
import { type ModelExecutor, ModelProcess } from './model-process.ts';
import type { ProcessMemory } from './process-memory.ts';
import { PythonModel } from './python-model.ts';

export interface PythonLoaderOptions {
  readonly database: PrismaClient;
  readonly environments: Pick<PythonEnvironments, 'prepare' | 'prepareLocked'>;
  readonly files: Pick<ModelFiles, 'hold'>;
  readonly executor: ModelExecutor;
  readonly startWarm?: StartWarm | undefined;
  readonly memory: ProcessMemory;
  /** What requests may take; 30,000 when absent. */
  readonly requestLimitMs?: number | undefined;
}

/** Loads versions into Python processes, each in the environment that it was trained in. */
export class PythonLoader {
  readonly #options: PythonLoaderOptions;

  constructor(options: PythonLoaderOptions) {
    this.#options = options;
  }

  /** @throws AsgardError UNAVAILABLE with the reason; the signal's reason */
  async load(version: ModelVersion, { signal, hasRoomFor }: LoadContext): Promise<ServedModel> {
    const { database, environments, files, executor, startWarm, memory, requestLimitMs } = this.#options;
    await using stack = new AsyncDisposableStack();
    // Both are waited for: what one of them holds is let go of when the other fails.
    const [made, fetched] = await Promise.allSettled([
      environmentOfVersion(database, environments, version, signal),
      files.hold(version, signal),
    ]);
    if (made.status === 'fulfilled') stack.use(made.value);
    if (fetched.status === 'fulfilled') stack.use(fetched.value);
    if (made.status === 'rejected') throw made.reason;
    if (fetched.status === 'rejected') throw fetched.reason;
    const modelUri = `models:/${version.name}/${version.version}`;
    const options = {
      executor,
      startWarm,
      environmentFolder: made.value.folder,
      modelUri,
      modelFolder: fetched.value.path,
    };
    const start = (stop: AbortSignal) => ModelProcess.start({ ...options, signal: stop });
    const maxProcesses = availableParallelism();
    const model = await PythonModel.load({ start, memory, hasRoomFor, maxProcesses, requestLimitMs }, signal);
    const held = stack.move();
    void model.ended.then(() => held.disposeAsync());
    return model;
  }
}
