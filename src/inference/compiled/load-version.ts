import type { PrismaClient } from '../../database/generated/client.ts';
import type { ModelVersion } from '../../mlflow/wire.ts';
import { servableVersion } from '../../models/servable-versions.ts';
import type { Logger } from '../../platform/logger.ts';
import type { LoadContext, LoadModel, ServedModel } from '../engine.ts';
import { CompiledModel } from './compiled-model.ts';
import { type CompiledFile, DamagedError, loadCompiled } from './compiled-store.ts';
import { VersionModel } from './version-model.ts';

export interface VersionLoaderOptions {
  readonly database: PrismaClient;
  readonly loadPython: LoadModel;
  readonly logger: Logger;
}

/** Brings versions into memory, compiled where they can be. */
export class VersionLoader {
  readonly #options: VersionLoaderOptions;

  constructor(options: VersionLoaderOptions) {
    this.#options = options;
  }

  /** @throws AsgardError UNAVAILABLE with the reason; the signal's reason */
  load(version: ModelVersion, { signal, hasRoomFor }: LoadContext): Promise<ServedModel> {
    const { loadPython, logger } = this.#options;
    const options = {
      findCompiled: () => this.#findCompiled(version),
      loadPython: (stop: AbortSignal) => loadPython(version, { signal: stop, hasRoomFor }),
      logger,
    };
    return VersionModel.load(options, signal);
  }

  /** Whatever is wrong with a compiled model, Python serves the version; for good only what does not pass keeps it there. */
  async #findCompiled(version: ModelVersion): Promise<CompiledModel | 'pending' | null> {
    const { logger } = this.#options;
    const event = { name: version.name, version: version.version };
    let found: CompiledFile | 'pending' | null;
    try {
      found = await this.#readCompiled(version);
    } catch (error) {
      logger.warn({ ...event, err: error }, 'model.compiled_not_read');
      return error instanceof DamagedError ? null : 'pending';
    }
    if (found === null || found === 'pending') return found;
    try {
      return await CompiledModel.load(found.file, found.description);
    } catch (error) {
      logger.warn({ ...event, err: error }, 'model.compiled_not_loaded');
      return null;
    }
  }

  async #readCompiled(version: ModelVersion): Promise<CompiledFile | 'pending' | null> {
    const { database } = this.#options;
    const record = await servableVersion(database, version);
    if (record === null || record.compileStatus === 'PENDING') return 'pending';
    return record.compiledKey === null ? null : loadCompiled(database, record.compiledKey);
  }
}
