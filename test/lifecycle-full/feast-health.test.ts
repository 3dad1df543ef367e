import { once } from 'node:events';
import { chmod, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { FeaturesDatabase } from '../../src/feast/database.ts';
import { FeatureStoreHealth, type FeatureStoreHealthOptions, type FeatureStoreState } from '../../src/feast/health.ts';
import { warehouseFolder } from '../../src/feast/settings.ts';
import { Warehouse } from '../../src/feast/warehouse.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from '../support/data-folder.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';
import { quietPort } from '../support/quiet-port.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

let features: FeaturesForTests;
let proxy: TcpProxy;
beforeAll(async () => {
  features = await FeaturesForTests.start();
  proxy = await startTcpProxy(features.settings.databaseUrl);
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await features[Symbol.asyncDispose]();
  expect(processesOf(features.folder)).toEqual([]);
});

interface Watched {
  readonly health: FeatureStoreHealth;
  /** Whatever it said was wrong, the first first. */
  readonly troubles: (string | null)[];
  readonly becomes: (isAvailable: boolean) => Promise<FeatureStoreState>;
  /** Resolves once it says that. Something else may come before: a look of a busy machine is late, which is told as well. */
  readonly tells: (trouble: RegExp | null) => Promise<FeatureStoreState>;
}

/** Of a store whose database is behind the proxy, unless another is named. */
function watch(
  changes: {
    url?: string;
    warehouse?: Warehouse;
    bridge?: FeaturesForTests['bridge'];
    checkCatalog?: FeatureStoreHealthOptions['checkCatalog'];
  } = {},
): Watched {
  const url = new URL(features.settings.databaseUrl);
  url.port = new URL(proxy.url).port;
  const database = new FeaturesDatabase(changes.url ?? url.href);
  const troubles: (string | null)[] = [];
  const health = new FeatureStoreHealth({
    database,
    warehouse: changes.warehouse ?? new Warehouse({ folder: features.settings.warehouse }),
    bridge: changes.bridge ?? features.bridge,
    standingTrouble: null,
    checkCatalog: changes.checkCatalog,
    logger: createLogger('silent', false),
    onTrouble: (trouble) => void troubles.push(trouble),
  });
  onTestFinished(async () => {
    await health[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });
  const becomes = (isAvailable: boolean) =>
    poll(
      () => health.current(),
      (state) => state.isAvailable === isAvailable,
    );
  const tells = (wanted: RegExp | null) =>
    poll(
      () => health.current(),
      ({ trouble }) => (wanted === null || trouble === null ? trouble === wanted : wanted.test(trouble)),
    );
  return { health, troubles, becomes, tells };
}

test('a store that nobody has used is available, and no process runs for it', async () => {
  const { becomes, troubles } = watch();
  await expect(becomes(true)).resolves.toEqual({ isAvailable: true, featureViews: 0, trouble: null });
  expect(features.bridge.pid).toBeUndefined();
  // The first look of a busy machine may be late, which is told.
  expect(troubles.filter((trouble) => trouble?.includes('does not answer within') === false)).toEqual([]);
});

describe('is not available once a part is away, and available again once it is back:', () => {
  test('the database, whether it refuses or is silent', async () => {
    const { health, becomes, troubles } = watch();
    await becomes(true);
    proxy.breakAfter(0);
    await expect(becomes(false)).resolves.toMatchObject({ trouble: expect.stringContaining('does not answer') });
    proxy.release();
    await becomes(true);
    proxy.hold();
    await becomes(false);
    // The database says nothing, and each of them is answered all the same.
    await Promise.all(Array.from({ length: 50 }, () => health.current()));
    proxy.release();
    await becomes(true);
    expect(troubles.at(-1)).toBeNull();
  });

  test('the warehouse’s folder', async () => {
    const { warehouse } = features.settings;
    const { becomes, tells } = watch();
    await becomes(true);
    await rename(warehouse, `${warehouse}.gone`);
    await writeFile(warehouse, 'something else');
    const cause = /^the warehouse folder .* cannot be used: .* or set ICEBERG_WAREHOUSE$/;
    await expect(tells(cause)).resolves.toMatchObject({ isAvailable: false });
    await rm(warehouse);
    await rename(`${warehouse}.gone`, warehouse);
    await becomes(true);
  });

  test('the bridge', async () => {
    const python = join(features.folder, 'broken');
    await writeFile(python, '#!/bin/sh\necho "ImportError: no library" >&2\nexit 3\n');
    await chmod(python, 0o755);
    const bridge = features.otherBridge({ python });
    const { becomes, tells } = watch({ bridge });
    await becomes(true);
    bridge.start();
    await expect(tells(/no library/)).resolves.toMatchObject({ isAvailable: false });
    await writeFile(python, `#!/bin/sh\nexec ${toolchainPython(TOOLCHAIN)} "$@"\n`);
    await becomes(true);
    await bridge[Symbol.asyncDispose]();
  });
});

test('an S3 server that is away is told of', async () => {
  const endpoint = `http://127.0.0.1:${await quietPort()}`;
  const s3 = { bucket: 'lake', prefix: '', region: 'us-east-1', endpoint, isPathStyle: true };
  const { health } = watch({ warehouse: new Warehouse({ s3 }) });
  await expect(health.current()).resolves.toMatchObject({ isAvailable: false, trouble: expect.any(String) });
});

test('of a catalog behind a server no folder is looked at, but whether the server answers', async () => {
  let isAway = false;
  /** As much of Iceberg's REST catalog as is asked for: its settings, and namespaces, of which there are none. */
  const fakeRestCatalog = createServer((request, response) => {
    response.writeHead(isAway ? 500 : 200, { 'content-type': 'application/json' });
    const isSettings = request.url?.startsWith('/v1/config');
    response.end(JSON.stringify(isSettings ? { defaults: {}, overrides: {} } : { namespaces: [] }));
  });
  await once(fakeRestCatalog.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void fakeRestCatalog.close());
  const { port } = fakeRestCatalog.address() as AddressInfo; // a server that listens on TCP has one
  const catalog = { type: 'rest', uri: `http://127.0.0.1:${port}`, warehouse: 'lake' };
  const settings = { ...features.settings, warehouse: join(features.folder, 'never'), catalog };
  const bridge = features.otherBridge({ settings });
  const { becomes } = watch({
    bridge,
    warehouse: new Warehouse({ folder: warehouseFolder(settings) }),
    checkCatalog: async (signal) => void (await bridge.request('catalog.check', {}, z.null(), { signal })),
  });
  await becomes(true);
  isAway = true;
  await becomes(false);
  isAway = false;
  await becomes(true);
  await expect(stat(settings.warehouse)).rejects.toThrow('ENOENT');
});

test('where there are tables the bridge starts by itself, and a folder that is gone is not made anew', async () => {
  const { bridge, folder, settings } = features;
  const path = join(folder, 'rows.csv');
  await writeFile(path, 'id,amount\n1,2.5\n');
  const names = { schema: 'gold', name: 'sums', path, media_type: 'text/csv', mode: 'replace', types: {} };
  await bridge.request('tables.write', { ...names, write_id: 'one' }, z.looseObject({}));
  const next = features.otherBridge();
  const { becomes } = watch({ bridge: next });
  await becomes(true);
  await poll(
    () => next.pid,
    (pid) => pid !== undefined,
  );
  await rename(settings.warehouse, `${settings.warehouse}.gone`);
  await becomes(false);
  await rename(`${settings.warehouse}.gone`, settings.warehouse);
  await becomes(true);
});

test('a role that may not make schemas or roles is told of, with what to do', async () => {
  const database = await features.databases.create();
  const admin = await database.sql();
  onTestFinished(() => database[Symbol.asyncDispose]());
  const { current_database: name } = (await admin.query('SELECT current_database()')).rows[0];
  await admin.query(`CREATE ROLE limited LOGIN PASSWORD 'limited'`);
  const url = new URL(database.url);
  url.username = 'limited';
  url.password = 'limited';
  const { tells } = watch({ url: url.href });
  await expect(tells(/^the database role limited /)).resolves.toMatchObject({
    isAvailable: false,
    trouble: `the database role limited may not make the schema feast_registry in ${name}: GRANT CREATE ON DATABASE "${name}" TO "limited", or set FEATURES_DATABASE_URL`,
  });
  await admin.query(`GRANT CREATE ON DATABASE "${name}" TO "limited"`);
  const without = /^scripts cannot read features, .*: ALTER ROLE "limited" CREATEROLE$/;
  await expect(tells(without)).resolves.toMatchObject({ isAvailable: true });
  await admin.query('ALTER ROLE "limited" CREATEROLE');
  await expect(tells(null)).resolves.toMatchObject({ isAvailable: true });
});
