import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../../src/database/client.ts';
import { storeCompiled } from '../../src/inference/compiled/compiled-store.ts';
import { compiledDescription } from '../../src/inference/compiled/description.ts';
import { VersionLoader } from '../../src/inference/compiled/load-version.ts';
import type { ServedModel } from '../../src/inference/engine.ts';
import type { ModelVersion } from '../../src/mlflow/wire.ts';
import { recordCheck, recordCompiled } from '../../src/models/servable-versions.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { DatabasesForTests, type TestDatabase } from '../support/databases.ts';
import { poll } from '../support/poll.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

/** A decision tree: `age`, `spend`, `plan` (free or größe) → stays or leaves. */
const TREE = JSON.parse(await readFile(join(import.meta.dirname, '..', 'support', 'compiled', 'tree.json'), 'utf8'));

let server: DatabasesForTests;
let database: TestDatabase;
beforeAll(async () => {
  server = await DatabasesForTests.start();
  database = await server.create();
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

function versionOf(name: string): ModelVersion {
  const at = new Date(1_000);
  const names = { name, version: '1', stage: 'None', runId: null, source: '' };
  const rest = { status: 'READY', statusMessage: null, description: null, tags: {}, aliases: [] } as const;
  return { ...names, ...rest, createdAt: at, updatedAt: at };
}

/** Stands for a model in Python, which has nothing to do with the database once it is loaded. */
function fakePython(): ServedModel {
  const ended = Promise.withResolvers<void>();
  return {
    ...{ engine: 'python', memoryBytes: 0, processes: 1, columns: null, waiting: 0, isEnded: false, isLost: false },
    ended: ended.promise,
    predict: async () => ({ predictions: ['by Python'], probabilities: null }),
    [Symbol.asyncDispose]: async () => ended.resolve(),
  };
}

test('a version that is loaded while the database is away is served compiled once that is back', async () => {
  const version = versionOf('away');
  const compiled = { file: Buffer.from(TREE.file, 'base64'), description: compiledDescription.parse(TREE) };
  const compiledKey = await storeCompiled(database.client, compiled);
  await recordCheck(database.client, version, null, { refusal: null });
  await recordCompiled(database.client, version, { status: 'COMPILED', compiledKey, proof: {} });
  await using proxy = await startTcpProxy(database.url);
  const url = new URL(database.url);
  url.port = new URL(proxy.url).port;
  await using proxied = createDatabase(url.href, { poolSize: 1 });
  const logger = createLogger('silent', false);
  const loader = new VersionLoader({ database: proxied.client, loadPython: async () => fakePython(), logger });

  proxy.breakAfter(0);
  const { signal } = new AbortController();
  await using model = await loader.load(version, { signal, hasRoomFor: () => true });
  const request = { inputs: { age: [30], spend: [70.5], plan: ['größe'] }, return_probabilities: false };
  expect(await model.predict(request)).toMatchObject({ predictions: ['by Python'] });
  proxy.release();
  await poll(
    () => model.engine,
    (engine) => engine === 'onnx',
  );
  expect(await model.predict(request)).toMatchObject({ predictions: ['stays'] });
});
