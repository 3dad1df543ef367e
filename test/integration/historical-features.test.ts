import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { inheritedEnvironment, PROJECT_ROOT } from '../../src/config.ts';
import { ScriptRoles } from '../../src/feast/script-role.ts';
import { featureStoreYaml, readersSettings } from '../../src/feast/settings.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from '../support/data-folder.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';

const FEATURES = { total_purchases: 'int64', avg_purchase_value: 'float64', days_since_last_purchase: 'int32' };

/** The guide's, word for word. */
const SNIPPET = `
from feast import FeatureStore
import pandas as pd

# Initialize Feast
store = FeatureStore(repo_path="/tmp/feast_repo")

# Get historical features
entity_df = pd.DataFrame({
    "customer_id": [1, 2, 3, 4, 5],
    "event_timestamp": pd.to_datetime("2025-11-03")
})

training_df = store.get_historical_features(
    entity_df=entity_df,
    features=[
        "customer_churn_features:total_purchases",
        "customer_churn_features:avg_purchase_value",
        "customer_churn_features:days_since_last_purchase"
    ]
).to_df()
`;
/** The same call again, at the snapshot of the first write. */
const PINNED = (snapshot: string) => `
import json, os
os.environ["ASGARD_FEATURE_PINS"] = json.dumps({"snapshots": {"iceberg.gold.customer_metrics": "${snapshot}"}})
features = ["customer_churn_features:total_purchases"]
pinned_df = store.get_historical_features(entity_df=entity_df, features=features).to_df()
frames = [training_df, pinned_df]
print(json.dumps([json.loads(frame.to_json(orient="values", date_format="iso")) for frame in frames]))
`;

it("a script with a reader's role gets the guide's features: the rows that are there now, or those of a pin", async () => {
  await using features = await FeaturesForTests.start();
  const first = await write(features, ['1,2025-11-01,10,1.5,3', '2,2025-11-01,20,2.5,4', '4,2024-11-02,9,9,9']);
  // Customer 1 is gone and 2 another; 3 comes too late, 4 is older than the view's time to live.
  const rows = ['2,2025-11-02,21,2.75,5', '3,2025-11-04,30,3.5,6', '4,2024-11-02,40,4.5,7', '5,2024-11-04,50,5.5,8'];
  await write(features, rows);
  await applyView(features);
  const url = await new ScriptRoles(features.database, features.settings.databaseUrl).make(
    { jobId: '0'.repeat(16), attempt: 1 },
    new Date(Date.now() + 600_000),
  );
  const yaml = join(features.folder, 'feature_store.yaml');
  await writeFile(yaml, JSON.stringify(featureStoreYaml(readersSettings(features.settings, url))));

  const { stdout } = await promisify(execFile)(toolchainPython(TOOLCHAIN), ['-c', SNIPPET + PINNED(first)], {
    env: {
      ...inheritedEnvironment(),
      PYTHONPATH: join(PROJECT_ROOT, 'python'),
      FEAST_FS_YAML_FILE_PATH: yaml,
      PYTHONOPTIMIZE: '1',
    },
  });
  const at = '2025-11-03T00:00:00.000Z';
  expect(JSON.parse(stdout)).toEqual([
    [
      [1, at, null, null, null],
      [2, at, 21, 2.75, 5],
      [3, at, null, null, null],
      [4, at, null, null, null],
      [5, at, 50, 5.5, 8],
    ],
    [10, 20, null, null, null].map((total, index) => [index + 1, at, total]),
  ]);
});

/** Puts rows in place of all that are there. @returns the snapshot's id */
async function write({ bridge, folder }: FeaturesForTests, rows: readonly string[]): Promise<string> {
  const path = join(folder, 'rows.csv');
  const header = ['customer_id', 'event_timestamp', ...Object.keys(FEATURES)].join();
  await writeFile(path, [header, ...rows].join('\n'));
  const types = { event_timestamp: 'timestamptz', avg_purchase_value: 'double', days_since_last_purchase: 'int' };
  const table = { schema: 'gold', name: 'customer_metrics', mode: 'replace', types };
  const written = z.object({ snapshot: z.object({ id: z.string() }) });
  const params = { ...table, media_type: 'text/csv', path, write_id: randomUUID() };
  return (await bridge.request('tables.write', params, written)).snapshot.id;
}

async function applyView({ bridge }: FeaturesForTests): Promise<void> {
  const described = { description: '', tags: {} };
  await bridge.request(
    'views.apply',
    {
      ...described,
      name: 'customer_churn_features',
      entities: ['customer_id'],
      features: Object.entries(FEATURES).map(([name, dtype]) => ({ ...described, name, dtype })),
      source: {
        catalog: 'iceberg',
        schema: 'gold',
        tableName: 'customer_metrics',
        timestampField: null,
        createdTimestampColumn: null,
      },
      ttlSeconds: 365 * 86_400,
      online: false,
      owner: '',
    },
    z.unknown(),
  );
}
