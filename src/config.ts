import { resolve } from 'node:path';
import { z } from 'zod';
import { type AccessConfig, accessConfig, accessVariables, hostTrouble } from './config-access.ts';
import {
  type FeaturesConfig,
  featuresConfig,
  featureVariables,
  isS3,
  SECRET_FEATURE_VARIABLES,
} from './config-features.ts';
import { type JobsConfig, jobsConfig, jobsVariables } from './config-jobs.ts';
import type { S3Settings } from './config-s3.ts';
import { type ServingConfig, servingConfig, servingVariables } from './config-serving.ts';
import { folder, GIBIBYTE, MEBIBYTE, oneOf, serverUrl, wholeNumber } from './config-values.ts';

/** The repository's root (or the image's), where `python/`, `prisma/` and the toolchain lie. */
export const PROJECT_ROOT = resolve(import.meta.dirname, '..');

/** These are or may hold a secret, which a message must not show. */
const SECRET = new Set<string>([
  ...SECRET_FEATURE_VARIABLES,
  'ASGARD_API_KEY',
  'DATABASE_URL',
  'MLFLOW_TRACKING_URI',
  'AWS_ENDPOINT_URL_S3',
  'AWS_ENDPOINT_URL',
  'MLFLOW_S3_ENDPOINT_URL',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
]);

const port = wholeNumber(0, 65_535);

const variables = z.object({
  ...accessVariables,
  ...jobsVariables,
  ASGARD_HOME: folder.default(resolve('.asgard')),
  ASGARD_TOOLCHAIN: folder.default(resolve(PROJECT_ROOT, '.toolchain')),
  ASGARD_ENVIRONMENTS: folder.optional(),
  ASGARD_ENVIRONMENTS_LIMIT: wholeNumber(0, 1_000_000, 'GiB').default(20),
  PORT: port.default(8000),
  MLFLOW_PORT: port.default(5000),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' }).optional(),
  MLFLOW_TRACKING_URI: z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional(),
  AWS_S3_BUCKET: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket: 3 to 63 of a-z, 0-9, "." and "-"')
    .optional(),
  ASGARD_S3_PREFIX: z
    .string()
    .regex(
      /^\/?[\w.=-]+(\/[\w.=-]+)*\/?$/,
      'must be folder names with "/" between them: letters, digits, "_", ".", "=", "-"',
    )
    .refine((prefix) => !prefix.split('/').some((name) => name === '.' || name === '..'), 'must not hold "." or ".."')
    .optional(),
  ASGARD_S3_PATH_STYLE: oneOf('true', 'false').optional(),
  AWS_ENDPOINT_URL_S3: serverUrl.optional(),
  AWS_ENDPOINT_URL: serverUrl.optional(),
  MLFLOW_S3_ENDPOINT_URL: serverUrl.optional(),
  AWS_REGION: z.string().optional(),
  AWS_DEFAULT_REGION: z.string().optional(),
  AWS_ACCESS_KEY_ID: z.string().optional(),
  AWS_SECRET_ACCESS_KEY: z.string().optional(),
  ...featureVariables,
  ...servingVariables,
  ASGARD_UPLOAD_LIMIT: wholeNumber(1, 1_000_000, 'MiB').default(1024),
  ASGARD_LOG_LEVEL: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent').default('info'),
  ASGARD_LOG_FORMAT: oneOf('json', 'pretty').optional(),
});

/** Every variable that the platform reads. */
export const SETTINGS: readonly string[] = Object.keys(variables.shape);

const PAIRS = [
  ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'],
  ['ICEBERG_READ_ACCESS_KEY_ID', 'ICEBERG_READ_SECRET_ACCESS_KEY'],
] as const;

const environment = variables
  .superRefine(
    (value, context) => {
      for (const pair of PAIRS) {
        const absent = pair.filter((name) => value[name] === undefined);
        if (absent.length !== 1) continue;
        context.addIssue({
          code: 'custom',
          path: absent,
          message: `must be set too, as ${pair.join(' and ')} go together`,
        });
      }
    },
    { when: () => true },
  )
  .superRefine(
    ({ PORT, MLFLOW_PORT }, context) => {
      if (PORT === 0 || PORT !== MLFLOW_PORT) return;
      context.addIssue({ code: 'custom', path: ['MLFLOW_PORT'], message: `must differ from PORT, which is ${PORT}` });
    },
    // Also when other variables are bad, so that all is told at once.
    { when: ({ issues }) => !issues.some(({ path }) => path?.[0] === 'PORT' || path?.[0] === 'MLFLOW_PORT') },
  )
  .superRefine(
    ({ AWS_ACCESS_KEY_ID, ICEBERG_READ_ACCESS_KEY_ID }, context) => {
      if (ICEBERG_READ_ACCESS_KEY_ID === undefined || ICEBERG_READ_ACCESS_KEY_ID !== AWS_ACCESS_KEY_ID) return;
      const message =
        'is the platform’s own key, and every script is given it: it must be another, which may only read';
      context.addIssue({ code: 'custom', path: ['ICEBERG_READ_ACCESS_KEY_ID'], message });
    },
    { when: () => true },
  )
  .superRefine(
    (value, context) => {
      const message = hostTrouble(value);
      if (message !== undefined) context.addIssue({ code: 'custom', path: ['HOST'], message });
    },
    { when: ({ issues }) => !issues.some(({ path }) => path?.[0] === 'HOST' || path?.[0] === 'ASGARD_API_KEY') },
  );

/** What the platform was told. Built once, in `main.ts`; every other module is given what it needs of it. */
export interface Config extends AccessConfig, JobsConfig {
  /** The data folder: the embedded database, artifacts, environments, jobs' files. */
  readonly home: string;
  /** Made by the set-up: uv and the platform's own Python packages. */
  readonly toolchain: string;
  /** Where job environments are kept, each in a folder named by its lock's hash. */
  readonly environments: string;
  /** What they may take on the disk together, in bytes; 0 for no limit. Those in use stay. */
  readonly environmentsLimitBytes: number;
  /** 0 takes a free port, the last start's if it can. */
  readonly port: number;
  /** 0 takes a free port, the last start's if it can. */
  readonly mlflowPort: number;
  /** Absent: an embedded PostgreSQL under `home`. */
  readonly databaseUrl: string | undefined;
  /** Absent: a managed MLflow server. */
  readonly mlflowTrackingUri: string | undefined;
  /** Absent: artifacts lie in a folder under `home`. */
  readonly s3: S3Settings | undefined;
  readonly features: FeaturesConfig;
  readonly serving: ServingConfig;
  /** The largest file that a table is written from. */
  readonly uploadLimitBytes: number;
  readonly logLevel: string;
  readonly logPretty: boolean;
}

/** Every problem of a configuration, one line each: `PORT: expected number, received "x"`. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`bad configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * Parses the process environment. An empty variable counts as absent.
 * @throws ConfigError listing every problem at once
 */
export function parseConfig(processEnvironment: NodeJS.ProcessEnv, isTerminal: boolean): Config {
  const hasBucket =
    (processEnvironment['AWS_S3_BUCKET'] ?? '') !== '' || isS3(processEnvironment['ICEBERG_WAREHOUSE'] ?? '');
  // Without a bucket whatever a machine has of AWS is not for us, and cannot be wrong.
  const isOurs = (name: string) => hasBucket || !/^(AWS_|MLFLOW_S3_)/.test(name);
  const given = Object.fromEntries(
    Object.entries(processEnvironment).filter(([name, value]) => value !== '' && isOurs(name)),
  );
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    throw new ConfigError(
      parsed.error.issues.map(({ path, message }) => {
        const name = path.join('.');
        const isShown = given[name] !== undefined && !SECRET.has(name);
        return `${name}: ${message}${isShown ? ` (it is ${JSON.stringify(given[name])})` : ''}`;
      }),
    );
  }
  const value = parsed.data;
  return {
    home: value.ASGARD_HOME,
    toolchain: value.ASGARD_TOOLCHAIN,
    environments: value.ASGARD_ENVIRONMENTS ?? resolve(value.ASGARD_HOME, 'environments'),
    environmentsLimitBytes: value.ASGARD_ENVIRONMENTS_LIMIT * GIBIBYTE,
    ...accessConfig(value),
    port: value.PORT,
    mlflowPort: value.MLFLOW_PORT,
    databaseUrl: value.DATABASE_URL,
    mlflowTrackingUri: value.MLFLOW_TRACKING_URI?.replace(/\/+$/, ''),
    s3:
      value.AWS_S3_BUCKET === undefined
        ? undefined
        : s3Settings(value, value.AWS_S3_BUCKET, (value.ASGARD_S3_PREFIX ?? '').replace(/^\/|\/$/g, '')),
    features: featuresConfig(value, value.ASGARD_HOME, (bucket, prefix) => s3Settings(value, bucket, prefix)),
    serving: servingConfig(value),
    ...jobsConfig(value),
    uploadLimitBytes: value.ASGARD_UPLOAD_LIMIT * MEBIBYTE,
    logLevel: value.ASGARD_LOG_LEVEL,
    logPretty: value.ASGARD_LOG_FORMAT === undefined ? isTerminal : value.ASGARD_LOG_FORMAT === 'pretty',
  };
}

function s3Settings(value: z.output<typeof variables>, bucket: string, prefix: string): S3Settings {
  const endpoint = value.AWS_ENDPOINT_URL_S3 ?? value.AWS_ENDPOINT_URL ?? value.MLFLOW_S3_ENDPOINT_URL;
  const { ASGARD_S3_PATH_STYLE: style } = value;
  return {
    bucket,
    prefix,
    region: value.AWS_REGION ?? value.AWS_DEFAULT_REGION,
    endpoint,
    isPathStyle: style === undefined ? endpoint !== undefined : style === 'true',
  };
}

/** The process's environment as it was given: for children that need the caller's PATH, proxies and certificates. */
export function inheritedEnvironment(): NodeJS.ProcessEnv {
  return process.env;
}
