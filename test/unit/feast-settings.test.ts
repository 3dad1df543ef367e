import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { FeaturesConfig } from '../../src/config-features.ts';
import { featureStoreSettings, featureStoreYaml, readersSettings, warehouseFolder } from '../../src/feast/settings.ts';
import { yamlText } from '../../src/feast/yaml.ts';
import { toolchainPython } from '../../src/python/environments.ts';
import { TOOLCHAIN } from '../support/data-folder.ts';

const config: FeaturesConfig = {
  databaseUrl: undefined,
  warehouse: '/data/ware house',
  s3: undefined,
  catalog: {},
  readKey: undefined,
  materializeEverySeconds: 0,
  keepsTrainingRows: true,
  repoPath: '/tmp/feast_repo',
};
const S3 = { bucket: 'lake', prefix: 'gold', region: undefined, endpoint: 'http://127.0.0.1:9000', isPathStyle: true };
const OWNER = 'postgresql://me:s%40crET@[::1]:5433/my%20features?sslmode=require&schema=public';
const READER = 'postgresql://asgard_job_1:reads@[::1]:5433/my%20features';

test('the database, its schemas and limits are what SQLAlchemy and libpq understand', () => {
  const yaml = featureStoreYaml(featureStoreSettings(config, OWNER));
  const options = (schema: string) => encodeURIComponent(`-csearch_path=${schema} -cstatement_timeout=60000`);
  const address =
    'me:s%40crET@[::1]:5433/my%20features?sslmode=require&connect_timeout=5&application_name=asgard-features';
  expect(yaml).toMatchObject({
    registry: { path: `postgresql+psycopg://${address}&options=${options('feast_registry')}` },
    offline_store: {
      catalogs: {
        iceberg: {
          type: 'sql',
          uri: `postgresql+psycopg2://${address}&options=${options('iceberg_catalog')}`,
          warehouse: 'file:///data/ware house',
        },
      },
    },
    online_store: {
      host: '::1',
      port: 5433,
      database: 'my features',
      user: 'me',
      password: 's@crET',
      sslmode: 'require',
    },
  });
});

test('scripts are told of the same store, and of no secret of the platform’s', () => {
  const own = featureStoreSettings({ ...config, warehouse: 's3://lake/gold', s3: S3 }, OWNER);
  const withKey = featureStoreSettings(
    { ...config, warehouse: 's3://lake/gold', s3: S3, readKey: { id: 'reader', secret: 'reads' } },
    OWNER,
  );
  const files = { 's3.endpoint': 'http://127.0.0.1:9000', 's3.region': 'us-east-1' };
  expect(own.files).toMatchObject(files);
  expect(own.files).not.toHaveProperty('s3.anonymous');
  // Without a key of theirs they find none on the machine either.
  expect(readersSettings(own, READER).files).toMatchObject({ ...files, 's3.anonymous': 'true' });
  expect(readersSettings(withKey, READER).files).toMatchObject({ ...files, 's3.access-key-id': 'reader' });
  expect(JSON.stringify(featureStoreYaml(readersSettings(withKey, READER)))).not.toMatch(/cr?ET/);

  const catalog = {
    type: 'rest',
    uri: 'https://me:s3crET@catalog.example/v1',
    credential: 'id:s3crET',
    prefix: 'lake',
  };
  const rest = readersSettings(featureStoreSettings({ ...config, catalog }, OWNER), READER);
  expect(rest.catalog).toEqual({ type: 'rest', uri: 'https://catalog.example/v1', prefix: 'lake' });
  expect(featureStoreYaml(rest)).toMatchObject({ offline_store: { catalogs: { iceberg: rest.catalog } } });
});

test('the folder of tables’ files is the one that the catalog has, and none where the catalog’s server decides', () => {
  const rest = { type: 'rest', uri: 'https://catalog.example' };
  const cases: [changes: Partial<FeaturesConfig>, folder: string | undefined][] = [
    [{}, '/data/ware house'],
    [{ warehouse: 's3://lake/gold', s3: S3 }, undefined],
    [{ catalog: { pool_size: '3' } }, '/data/ware house'],
    [{ catalog: { warehouse: 'file:///lake' } }, '/lake'],
    [{ catalog: { type: 'sql', uri: 'sqlite:////x.db', warehouse: '/lake' } }, '/lake'],
    [{ catalog: rest }, undefined],
    [{ catalog: { ...rest, warehouse: 'lake' } }, undefined],
    [{ catalog: { ...rest, warehouse: 's3://lake' } }, undefined],
  ];
  for (const [changes, folder] of cases) {
    expect(warehouseFolder(featureStoreSettings({ ...config, ...changes }, OWNER)), JSON.stringify(changes)).toBe(
      folder,
    );
  }
});

test('what Feast reads of the file is what was written, dollar signs, words and quotes included', () => {
  const texts = { home: '/data/$HOME', word: 'yes', number: '0123', quoted: `a"b'c: #d`, 'a key': 'grün' };
  const yaml = { ...texts, count: 60, isOn: false, deep: { empty: {}, deeper: { text: '' } } };
  const read = 'import json, os, sys, yaml; print(json.dumps(yaml.safe_load(os.path.expandvars(sys.argv[1]))))';
  const options = { env: { HOME: '/elsewhere', LANG: 'C.UTF-8' }, encoding: 'utf8' } as const;
  expect(JSON.parse(execFileSync(toolchainPython(TOOLCHAIN), ['-c', read, yamlText(yaml)], options))).toEqual(yaml);
});
