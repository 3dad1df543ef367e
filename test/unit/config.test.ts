import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, PROJECT_ROOT, parseConfig, SETTINGS } from '../../src/config.ts';
import { HELP, unknownSettings } from '../../src/help.ts';

const KEY = 'correct-horse-battery';

function problemsOf(variables: NodeJS.ProcessEnv): readonly string[] {
  try {
    parseConfig(variables, false);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  test('of an empty environment is the default', () => {
    expect(parseConfig({}, false)).toEqual({
      home: resolve('.asgard'),
      toolchain: resolve(PROJECT_ROOT, '.toolchain'),
      environments: resolve('.asgard', 'environments'),
      environmentsLimitBytes: 20 * 2 ** 30,
      host: '127.0.0.1',
      apiKey: undefined,
      allowedOrigins: [],
      trustedProxies: [],
      requestsPerMinute: 0,
      hasGraphiql: true,
      hasIntrospection: true,
      launchers: 2,
      gatewayUrl: undefined,
      maxQueued: 10_000,
      lostAfterSeconds: 86_400,
      outputLimitBytes: 64 * 1024 * 1024,
      processLimit: Math.max(256, 128 * availableParallelism()),
      uploadLimitBytes: 1024 * 1024 * 1024,
      modelCheckSeconds: 120,
      isolation: 'auto',
      port: 8000,
      mlflowPort: 5000,
      databaseUrl: undefined,
      mlflowTrackingUri: undefined,
      // Half of what the machine, or its container, has.
      serving: {
        memoryBytes: expect.any(Number),
        filesLimitBytes: 20 * 2 ** 30,
        requestLimitBytes: 16 * 2 ** 20,
        predictionLimitMs: 30_000,
        preload: [],
        compiles: true,
      },
      s3: undefined,
      features: {
        databaseUrl: undefined,
        warehouse: resolve('.asgard', 'warehouse'),
        s3: undefined,
        catalog: {},
        readKey: undefined,
        materializeEverySeconds: 300,
        keepsTrainingRows: true,
        repoPath: '/tmp/feast_repo',
      },
      workerSlots: Math.max(2, availableParallelism()),
      logLevel: 'info',
      logPretty: false,
    });
  });

  test('is what the variables say', () => {
    expect(
      parseConfig(
        {
          ASGARD_HOME: '/var/lib/asgard',
          ASGARD_TOOLCHAIN: 'tools',
          ASGARD_ENVIRONMENTS_LIMIT: '3',
          HOST: '0.0.0.0',
          ASGARD_API_KEY: KEY,
          ASGARD_ALLOWED_ORIGINS: 'https://App.example, http://localhost:5173',
          ASGARD_TRUSTED_PROXIES: '10.0.0.0/8,fd00::/8, 192.168.0.7',
          ASGARD_RATE_LIMIT: '100',
          ASGARD_GRAPHIQL: 'off',
          ASGARD_INTROSPECTION: 'off',
          ASGARD_LAUNCHERS: '0',
          ASGARD_MODEL_MEMORY: '512',
          ASGARD_MODEL_FILES_LIMIT: '2',
          ASGARD_PRELOAD_MODELS: 'churn predictor@champion, b@next-1',
          ASGARD_GATEWAY_URL: 'https://mlops.example/mlflow/',
          ASGARD_MAX_QUEUED: '5',
          ASGARD_LOST_AFTER: '600',
          ASGARD_OUTPUT_LIMIT: '3',
          ASGARD_PROCESS_LIMIT: '500',
          ASGARD_UPLOAD_LIMIT: '4',
          ASGARD_REQUEST_LIMIT: '32',
          ASGARD_PREDICT_TIMEOUT: '7',
          ASGARD_MODEL_CHECK_LIMIT: '9',
          ASGARD_ISOLATION: 'required',
          PORT: '9000',
          MLFLOW_PORT: '9001',
          DATABASE_URL: 'postgresql://me:secret@db.example/asgard?sslmode=require',
          MLFLOW_TRACKING_URI: 'https://mlflow.example/base/',
          FEATURES_DATABASE_URL: 'postgresql://me:secret@db.example/features',
          ICEBERG_WAREHOUSE: 's3://lake/gold/tables/',
          ICEBERG_CATALOG: '{"type":"rest","uri":"https://catalog.example","oauth2":true,"depth":3}',
          ICEBERG_READ_ACCESS_KEY_ID: 'reader',
          ICEBERG_READ_SECRET_ACCESS_KEY: 'reads',
          AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9000',
          ASGARD_MATERIALIZE_EVERY: '60',
          ASGARD_TRAINING_SAMPLE: 'off',
          FEAST_REPO_PATH: '/srv/feast',
          ASGARD_WORKER_SLOTS: '12',
          ASGARD_LOG_LEVEL: 'debug',
          ASGARD_LOG_FORMAT: 'json',
        },
        true,
      ),
    ).toEqual({
      home: '/var/lib/asgard',
      toolchain: resolve('tools'),
      environments: '/var/lib/asgard/environments',
      environmentsLimitBytes: 3 * 2 ** 30,
      host: '0.0.0.0',
      apiKey: KEY,
      allowedOrigins: ['https://app.example', 'http://localhost:5173'],
      trustedProxies: ['10.0.0.0/8', 'fd00::/8', '192.168.0.7'],
      requestsPerMinute: 100,
      hasGraphiql: false,
      hasIntrospection: false,
      launchers: 0,
      gatewayUrl: 'https://mlops.example/mlflow',
      maxQueued: 5,
      lostAfterSeconds: 600,
      outputLimitBytes: 3 * 1024 * 1024,
      processLimit: 500,
      uploadLimitBytes: 4 * 1024 * 1024,
      serving: {
        compiles: true,
        memoryBytes: 512 * 2 ** 20,
        requestLimitBytes: 32 * 2 ** 20,
        predictionLimitMs: 7_000,
        filesLimitBytes: 2 * 2 ** 30,
        preload: [
          { name: 'churn predictor', alias: 'champion' },
          { name: 'b', alias: 'next-1' },
        ],
      },
      modelCheckSeconds: 9,
      isolation: 'required',
      port: 9000,
      mlflowPort: 9001,
      databaseUrl: 'postgresql://me:secret@db.example/asgard?sslmode=require',
      mlflowTrackingUri: 'https://mlflow.example/base',
      s3: undefined,
      features: {
        databaseUrl: 'postgresql://me:secret@db.example/features',
        warehouse: 's3://lake/gold/tables',
        s3: {
          bucket: 'lake',
          prefix: 'gold/tables',
          region: undefined,
          endpoint: 'http://127.0.0.1:9000',
          isPathStyle: true,
        },
        catalog: { type: 'rest', uri: 'https://catalog.example', oauth2: 'true', depth: '3' },
        readKey: { id: 'reader', secret: 'reads' },
        materializeEverySeconds: 60,
        keepsTrainingRows: false,
        repoPath: '/srv/feast',
      },
      workerSlots: 12,
      logLevel: 'debug',
      logPretty: false,
    });
  });

  test('of a bucket alone is AWS, with the host named by the bucket, and the whole of it', () => {
    const s3 = { bucket: 'models', prefix: '', region: undefined, endpoint: undefined, isPathStyle: false };
    expect(parseConfig({ AWS_S3_BUCKET: 'models' }, false).s3).toEqual(s3);
  });

  test("of a bucket elsewhere takes the SDKs' variables and MLflow's, the more special first", () => {
    const given = {
      AWS_S3_BUCKET: 'models',
      ASGARD_S3_PREFIX: '/team/one/',
      MLFLOW_S3_ENDPOINT_URL: 'http://mlflow.example:9000',
      AWS_DEFAULT_REGION: 'eu-north-1',
    };
    const s3 = {
      bucket: 'models',
      prefix: 'team/one',
      region: 'eu-north-1',
      endpoint: 'http://mlflow.example:9000',
      isPathStyle: true,
    };
    expect(parseConfig(given, false).s3).toEqual(s3);
    const AWS_ENDPOINT_URL = 'https://any.example';
    expect(parseConfig({ ...given, AWS_ENDPOINT_URL }, false).s3?.endpoint).toBe(AWS_ENDPOINT_URL);
    const AWS_ENDPOINT_URL_S3 = 'https://s3.example';
    const more = { ...given, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, ASGARD_S3_PATH_STYLE: 'false', AWS_REGION: 'x-1' };
    expect(parseConfig(more, false).s3).toEqual({
      ...s3,
      endpoint: AWS_ENDPOINT_URL_S3,
      region: 'x-1',
      isPathStyle: false,
    });
  });

  test('of a bucket that is bad names each variable, shows no secret, and without a bucket nothing of AWS is bad', () => {
    const given = {
      ASGARD_S3_PREFIX: 'team/../one',
      ASGARD_S3_PATH_STYLE: 'yes',
      AWS_ENDPOINT_URL_S3: 'https://me:top-secret@s3.example',
      AWS_SECRET_ACCESS_KEY: 'top-secret',
      PORT: 'eight',
    };
    const problems = problemsOf({ ...given, AWS_S3_BUCKET: 'No_Bucket' });
    expect(problems.map((problem) => problem.split(':')[0]).sort()).toEqual([
      'ASGARD_S3_PATH_STYLE',
      'ASGARD_S3_PREFIX',
      'AWS_ACCESS_KEY_ID',
      'AWS_ENDPOINT_URL_S3',
      'AWS_S3_BUCKET',
      'PORT',
    ]);
    expect(problems.join()).not.toContain('top-secret');
    expect(problemsOf({ AWS_ENDPOINT_URL_S3: 'nowhere', AWS_SECRET_ACCESS_KEY: 'top-secret' })).toEqual([]);
  });

  test('takes an empty variable as absent, and minds no other', () => {
    const empty = { PORT: '', DATABASE_URL: '', ASGARD_HOME: '', ASGARD_LOG_FORMAT: '', UNKNOWN: 'x' };
    expect(parseConfig(empty, false)).toEqual(parseConfig({}, false));
  });

  test('logs for readers at a terminal, unless it is told otherwise', () => {
    expect(parseConfig({}, true).logPretty).toBe(true);
    expect(parseConfig({ ASGARD_LOG_FORMAT: 'json' }, true).logPretty).toBe(false);
    expect(parseConfig({ ASGARD_LOG_FORMAT: 'pretty' }, false).logPretty).toBe(true);
  });

  test('lets both ports be free ones', () => {
    expect(parseConfig({ PORT: '0', MLFLOW_PORT: '0' }, false)).toMatchObject({ port: 0, mlflowPort: 0 });
  });

  test('that is bad tells every problem at once, each by its variable', () => {
    const bad = {
      HOST: 'not a host',
      PORT: 'eight',
      MLFLOW_PORT: '70000',
      DATABASE_URL: 'mysql://x',
      MLFLOW_TRACKING_URI: 'nowhere',
      ASGARD_WORKER_SLOTS: '0',
      ASGARD_API_KEY: 'short',
      ASGARD_ALLOWED_ORIGINS: '*',
      ASGARD_TRUSTED_PROXIES: 'everybody',
      ASGARD_RATE_LIMIT: 'much',
      ASGARD_GRAPHIQL: 'yes',
      ASGARD_INTROSPECTION: 'no',
      ASGARD_LOG_LEVEL: 'loud',
      ASGARD_LOG_FORMAT: 'xml',
    };
    const problems = problemsOf(bad);
    expect(problems.map((problem) => problem.split(':')[0]).toSorted()).toEqual(Object.keys(bad).toSorted());
    expect(problems.find((problem) => problem.startsWith('PORT'))).toContain('"eight"');
    expect(new ConfigError(problems).message).toBe(
      `bad configuration:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
  });

  test('with one port for both faces is refused, together with whatever else is wrong', () => {
    expect(problemsOf({ PORT: '5000' })).toEqual(['MLFLOW_PORT: must differ from PORT, which is 5000']);
    expect(problemsOf({ PORT: '99', MLFLOW_PORT: '99', HOST: '0.0.0.0' })).toEqual([
      'MLFLOW_PORT: must differ from PORT, which is 99 (it is "99")',
      expect.stringMatching(/^HOST: /),
    ]);
    expect(problemsOf({ PORT: 'x', MLFLOW_PORT: 'x' }).filter((problem) => problem.includes('differ'))).toEqual([]);
  });

  test.each(['0.0.0.0', '::', '192.168.0.7', 'example.org', 'localhost.example'])(
    'takes %s, which other machines may reach, for a host only with a key',
    (HOST) => {
      expect(problemsOf({ HOST })).toEqual([
        expect.stringMatching(/^HOST: .*set ASGARD_API_KEY, or listen on 127\.0\.0\.1/),
      ]);
      expect(parseConfig({ HOST, ASGARD_API_KEY: KEY }, false)).toMatchObject({ host: HOST, apiKey: KEY });
    },
  );

  test.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1'])('takes %s without a key', (HOST) => {
    expect(parseConfig({ HOST }, false)).toMatchObject({ host: HOST, apiKey: undefined });
  });

  test('limits the requests of a client as soon as there is a key, unless told otherwise', () => {
    expect(parseConfig({ ASGARD_API_KEY: KEY }, false).requestsPerMinute).toBe(6_000);
    expect(parseConfig({ ASGARD_API_KEY: KEY, ASGARD_RATE_LIMIT: '0' }, false).requestsPerMinute).toBe(0);
    expect(parseConfig({ ASGARD_RATE_LIMIT: '7' }, false).requestsPerMinute).toBe(7);
  });

  test.each(['short', 'with a blank in the midst', 'with-ümlauts-in-it', 'asgard-job-0123456789'])(
    'does not take %j for a key, and does not show it',
    (ASGARD_API_KEY) => {
      const problems = problemsOf({ ASGARD_API_KEY, HOST: '0.0.0.0' });
      expect(problems).toEqual([expect.stringMatching(/^ASGARD_API_KEY: must /)]);
      expect(problems.join()).not.toContain(ASGARD_API_KEY);
    },
  );

  test.each(['*', 'app.example', 'https://app.example/path', 'ftp://app.example', 'https://a.example,', 'null'])(
    'does not take %j for allowed origins',
    (ASGARD_ALLOWED_ORIGINS) => {
      expect(problemsOf({ ASGARD_ALLOWED_ORIGINS })).toEqual([
        expect.stringMatching(/^ASGARD_ALLOWED_ORIGINS: must be origins/),
      ]);
    },
  );

  test.each(['1.5', '-1', '65536', '8000 ', '0x10', '1e3'])(
    'does not take %j for a port, or takes it as a number',
    (PORT) => {
      const problems = problemsOf({ PORT });
      if (problems.length === 0) expect(parseConfig({ PORT }, false).port).toBe(Number(PORT));
      else expect(problems).toEqual([expect.stringMatching(/^PORT: /)]);
    },
  );

  test.each(['DATABASE_URL', 'MLFLOW_TRACKING_URI'])('never shows a password of %s in its problems', (name) => {
    const problems = problemsOf({ [name]: 'ftp//me:top-secret@db/asgard' });
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name}: must be an? `))]);
    expect(problems.join()).not.toContain('top-secret');
  });

  test('of the feature store names what is wrong with it, and shows no secret', () => {
    const problems = problemsOf({
      FEATURES_DATABASE_URL: 'mysql://me:hunter2@db.example/features',
      ICEBERG_WAREHOUSE: 'gs://lake',
      ICEBERG_CATALOG: '{"token": ["hunter2"]}',
      ICEBERG_READ_SECRET_ACCESS_KEY: 'hunter2',
      FEAST_REPO_PATH: 'feast_repo',
    });
    expect(problems.join('\n')).not.toContain('hunter2');
    expect(problems.toSorted()).toEqual([
      'FEAST_REPO_PATH: must be an absolute path, as scripts name it (it is "feast_repo")',
      'FEATURES_DATABASE_URL: must be a postgresql:// URL',
      expect.stringMatching(/^ICEBERG_CATALOG.token: /),
      expect.stringMatching(/^ICEBERG_READ_ACCESS_KEY_ID: must be set too/),
      expect.stringMatching(/^ICEBERG_WAREHOUSE: must be a folder, or s3:.*it is "gs:/),
    ]);
    const own = { AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: 'hunter2' };
    const same = { ICEBERG_READ_ACCESS_KEY_ID: 'AKIA', ICEBERG_READ_SECRET_ACCESS_KEY: 'hunter2' };
    expect(problemsOf({ ICEBERG_WAREHOUSE: 's3://lake', ...own, ...same })).toEqual([
      'ICEBERG_READ_ACCESS_KEY_ID: is the platform’s own key, and every script is given it: it must be another, which may only read',
    ]);
    expect(problemsOf({ ICEBERG_CATALOG: 'hunter2' })).toEqual(['ICEBERG_CATALOG: must be a JSON object']);
    expect(problemsOf({ ICEBERG_WAREHOUSE: '/data/a#b' })).toEqual([expect.stringContaining('must not contain')]);
  });
});

describe('the help', () => {
  test('names every setting', () => {
    expect(SETTINGS.filter((name) => !new RegExp(`\\b${name}\\b`).test(HELP))).toEqual([]);
  });

  test('is no wider than a terminal', () => {
    expect(HELP.split('\n').filter((line) => line.length > 110)).toEqual([]);
  });
});

test('a variable that looks like a setting and is none is told of, with what may be meant', () => {
  const variables = { ASGARD_PORT: '1', ASGARD_ALLOWED_ORIGIN: 'x', ASGARD_ZZZ: '', ASGARD_PYTHON: 'p', PROT: '1' };
  expect(unknownSettings({ ...variables, ASGARD_HOME: '/x' })).toEqual([
    'ASGARD_PORT is no setting, and does nothing; did you mean PORT?',
    'ASGARD_ALLOWED_ORIGIN is no setting, and does nothing; did you mean ASGARD_ALLOWED_ORIGINS?',
    'ASGARD_ZZZ is no setting, and does nothing; see --help',
  ]);
});

test.each([
  ['ASGARD_GRAPHIQL', 'true', 'must be on or off'],
  ['ASGARD_COMPILE', 'on', 'must be 0 or 1'],
  ['ASGARD_ISOLATION', 'yes', 'must be auto, off or required'],
  ['ASGARD_MODEL_MEMORY', '2GB', 'must be a whole number of MiB from 1 to 999999999'],
  ['ASGARD_PREDICT_TIMEOUT', '0', 'must be a whole number of seconds from 1 to 3600'],
])('%s=%s is refused with what it must be', (name, value, rule) => {
  expect(problemsOf({ [name]: value })).toEqual([`${name}: ${rule} (it is ${JSON.stringify(value)})`]);
});
