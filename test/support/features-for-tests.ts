import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { FeastBridge, type FeastBridgeOptions } from '../../src/feast/bridge.ts';
import { FeaturesDatabase } from '../../src/feast/database.ts';
import type { FeatureStoreHealth } from '../../src/feast/health.ts';
import type { OnlineStore } from '../../src/feast/online-store.ts';
import type { FeatureStoreSettings } from '../../src/feast/settings.ts';
import { AsgardError } from '../../src/platform/errors.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from './data-folder.ts';
import { DatabasesForTests } from './databases.ts';

/** A busy machine is late. */
const LOOK_LIMIT_MS = 60_000;

/** For tests that are about other parts: a store that is away. */
export const FEATURES_AWAY: Pick<FeatureStoreHealth, 'current'> = {
  current: async () => ({ isAvailable: false, featureViews: 0, trouble: 'there is no feature store in this test' }),
};

/** Likewise: a bridge that is away. */
export const BRIDGE_AWAY: Pick<FeastBridge, 'request'> = {
  request: async () => {
    throw new AsgardError('UNAVAILABLE', 'there is no feature store in this test');
  },
};

/** Likewise: an online store that is away. */
export const STORE_AWAY: Pick<OnlineStore, 'read' | 'registryVersion'> = {
  read: () => BRIDGE_AWAY.request('', {}, z.never()),
  registryVersion: async () => null,
};

/**
 * A feature store of a test file's own: a real PostgreSQL, an empty warehouse folder, and a bridge that starts with its first
 * request (2 s; some 4 until Feast is loaded). Make one for a whole file. Disposing ends all of it and removes its files.
 */
export class FeaturesForTests implements AsyncDisposable {
  readonly databases: DatabasesForTests;
  /** Holds the warehouse, the bridge's files and whatever else a test needs. */
  readonly folder: string;
  readonly settings: FeatureStoreSettings;
  readonly database: FeaturesDatabase;
  readonly bridge: FeastBridge;
  readonly #stack: AsyncDisposableStack;

  /** @param changes of the settings, for a warehouse that is elsewhere */
  static async start(changes: Partial<FeatureStoreSettings> = {}): Promise<FeaturesForTests> {
    await using stack = new AsyncDisposableStack();
    const databases = stack.use(await DatabasesForTests.start());
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'asgard-features-')));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const { featuresUrl: databaseUrl } = databases;
    const warehouse = join(folder, 'warehouse');
    const settings = { databaseUrl, warehouse, files: {}, readerFiles: {}, catalog: {}, ...changes };
    const database = stack.use(new FeaturesDatabase(databaseUrl));
    await database.look(AbortSignal.timeout(LOOK_LIMIT_MS));
    const features = new FeaturesForTests({ databases, folder, settings, database }, stack.move());
    return features;
  }

  private constructor(
    parts: Pick<FeaturesForTests, 'databases' | 'folder' | 'settings' | 'database'>,
    stack: AsyncDisposableStack,
  ) {
    this.databases = parts.databases;
    this.folder = parts.folder;
    this.settings = parts.settings;
    this.database = parts.database;
    this.#stack = stack;
    this.bridge = this.otherBridge();
  }

  /** Another process on the same store, as another platform has. Disposed of with the rest. */
  otherBridge(changes: Partial<FeastBridgeOptions> = {}): FeastBridge {
    const bridge = new FeastBridge({
      python: toolchainPython(TOOLCHAIN),
      settings: this.settings,
      folder: join(this.folder, 'bridge'),
      logger: createLogger('silent', false),
      ...changes,
    });
    return this.#stack.use(bridge);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
