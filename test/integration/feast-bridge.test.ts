import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { FeaturesForTests } from '../support/features-for-tests.ts';
import { processesOf } from '../support/processes.ts';

let features: FeaturesForTests;
beforeAll(async () => {
  features = await FeaturesForTests.start();
});
afterAll(async () => {
  await features[Symbol.asyncDispose]();
  expect(processesOf(features.folder)).toEqual([]);
});

const status = z.object({ namespaces: z.int(), feature_views: z.int() });

test('the first request starts the bridge, which makes the tables of catalog and registry in their schemas', async () => {
  const { bridge, database } = features;
  await expect(bridge.request('store.status', {}, status)).resolves.toEqual({ namespaces: 0, feature_views: 0 });
  const { rows } = await database.pool.query(
    `SELECT schemaname, count(*)::int AS tables FROM pg_tables WHERE tablename IN ('iceberg_tables', 'feature_views')
     GROUP BY schemaname ORDER BY schemaname`,
  );
  expect(rows).toEqual([
    { schemaname: 'feast_registry', tables: 1 },
    { schemaname: 'iceberg_catalog', tables: 1 },
  ]);
});
