import { availableParallelism } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';
import {
  type FeaturesConfig,
  featuresConfig,
  featureVariables,
  isS3,
  SECRET_FEATURE_VARIABLES,
} from './config-features.ts';
import type { S3Settings } from './config-s3.ts';
import { type ServingConfig, servingConfig, servingVariables } from './config-serving.ts';
import { isLoopback } from './platform/loopback.ts';

/** The repository's root (or the image's), where `python/`, `prisma/` and the toolchain lie. */
export const PROJECT_ROOT = resolve(import.meta.dirname, '..');

const folder = z
  .string()
  .min(1)
  .transform((path) => (isAbsolute(path) ? path : resolve(path)));

function wholeNumber(from: number, to: number) {
  const rule = `must be a whole number from ${from} to ${to}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, rule)
    .transform(Number)
    .refine((value) => value >= from && value <= to, rule);
}

const port = wholeNumber(0, 65_535);

const onOff = z.enum(['on', 'off']).transform((value) => value === 'on');

/** Visible characters, since it travels in a header; a job's token must not be taken for it. */
const apiKey = z
  .string()
  .regex(/^[\x21-\x7e]+$/, 'must be letters, digits and signs without blanks')
  .min(16, 'must have at least 16 characters')
  .max(512, 'must have at most 512 characters')
  .refine((key) => !/^asgard-job-/.test(key), 'must not begin as the tokens of jobs do');

const origins = list(
  (text) => /^https?:$/.test(URL.parse(text)?.protocol ?? '') && URL.parse(text)?.origin === text.toLowerCase(),
  'must be origins with commas between them, such as https://app.example or http://localhost:5173',
).transform((texts) => texts.map((text) => text.toLowerCase()));

const proxies = list(
  (text) => z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]).safeParse(text).success,
  'must be addresses or ranges with commas between them, such as 10.0.0.0/8',
);

function list(isGood: (text: string) => boolean, rule: string) {
  return z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .refine((parts) => parts.every(isGood), rule);
}

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

/** What a client may send in a minute when a key is demanded; on loopback without one every program is one client. */
const DEFAULT_RATE_LIMIT = 6_000;

const s3Endpoint = z
  .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
  .refine((url) => new URL(url).username === '' && new URL(url).password === '', 'must not hold a user or a password')
  .optional();

const gatewayUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
  .refine((url) => new URL(url).username === '' && new URL(url).password === '', 'must not hold a user or a password')
  .transform((url) => url.replace(/\/+$/, ''));

const variables = z.object({
  ASGARD_HOME: folder.default(resolve('.asgard')),
  ASGARD_TOOLCHAIN: folder.default(resolve(PROJECT_ROOT, '.toolchain')),
  ASGARD_ENVIRONMENTS: folder.optional(),
  ASGARD_ENVIRONMENTS_LIMIT: wholeNumber(0, 1_000_000).default(20),
  HOST: z
    .union([z.ipv4(), z.ipv6(), z.hostname()], 'must be an address or a name of this machine')
    .default('127.0.0.1'),
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
  ASGARD_S3_PATH_STYLE: z.enum(['true', 'false']).optional(),
  AWS_ENDPOINT_URL_S3: s3Endpoint,
  AWS_ENDPOINT_URL: s3Endpoint,
  MLFLOW_S3_ENDPOINT_URL: s3Endpoint,
  AWS_REGION: z.string().optional(),
  AWS_DEFAULT_REGION: z.string().optional(),
  AWS_ACCESS_KEY_ID: z.string().optional(),
  AWS_SECRET_ACCESS_KEY: z.string().optional(),
  ...featureVariables,
  ...servingVariables,
  ASGARD_WORKER_SLOTS: wholeNumber(1, 1000).default(Math.max(2, availableParallelism())),
  ASGARD_LAUNCHERS: wholeNumber(0, 100).default(2),
  ASGARD_GATEWAY_URL: gatewayUrl.optional(),
  ASGARD_MAX_QUEUED: wholeNumber(1, 1_000_000).default(10_000),
  ASGARD_LOST_AFTER: wholeNumber(60, 10_000_000).default(24 * 3600),
  ASGARD_OUTPUT_LIMIT: wholeNumber(1, 1_000_000).default(64),
  ASGARD_PROCESS_LIMIT: wholeNumber(16, 4_000_000).default(Math.max(1024, 128 * availableParallelism())),
  ASGARD_UPLOAD_LIMIT: wholeNumber(1, 1_000_000).default(1024),
  ASGARD_MODEL_CHECK_LIMIT: wholeNumber(1, 3600).default(120),
  ASGARD_ISOLATION: z.enum(['auto', 'off', 'required']).default('auto'),
  ASGARD_API_KEY: apiKey.optional(),
  ASGARD_ALLOWED_ORIGINS: origins.default([]),
  ASGARD_TRUSTED_PROXIES: proxies.default([]),
  ASGARD_RATE_LIMIT: wholeNumber(0, 999_999_999).optional(),
  ASGARD_GRAPHIQL: onOff.default(true),
  ASGARD_INTROSPECTION: onOff.default(true),
  ASGARD_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  ASGARD_LOG_FORMAT: z.enum(['json', 'pretty']).optional(),
});

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
    ({ HOST, ASGARD_API_KEY }, context) => {
      if (isLoopback(HOST) || ASGARD_API_KEY !== undefined) return;
      const message = 'can be reached from other machines: set ASGARD_API_KEY, or listen on 127.0.0.1';
      context.addIssue({ code: 'custom', path: ['HOST'], message });
    },
    { when: ({ issues }) => !issues.some(({ path }) => path?.[0] === 'HOST' || path?.[0] === 'ASGARD_API_KEY') },
  );

/** What the platform was told. Built once, in `main.ts`; every other module is given what it needs of it. */
export interface Config {
  /** The data folder: the embedded database, artifacts, environments, jobs' files. */
  readonly home: string;
  /** Made by the set-up: uv and the platform's own Python packages. */
  readonly toolchain: string;
  /** Where job environments are kept, each in a folder named by its lock's hash. */
  readonly environments: string;
  /** What they may take on the disk together, in bytes; 0 for no limit. Those in use stay. */
  readonly environmentsLimitBytes: number;
  readonly host: string;
  /** What every face demands; absent only on loopback: whoever reaches the ports may use them. */
  readonly apiKey: string | undefined;
  /** Origins whose pages may call from a browser, such as `https://app.example`. */
  readonly allowedOrigins: readonly string[];
  /** Addresses and ranges of proxies that are believed for whom they speak. */
  readonly trustedProxies: readonly string[];
  /** Of one client; 0 for no limit. */
  readonly requestsPerMinute: number;
  readonly hasGraphiql: boolean;
  readonly hasIntrospection: boolean;
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
  /** Jobs that run at once in this process. */
  readonly workerSlots: number;
  /** Warm Python processes that start scripts in milliseconds, one for an environment; 0: none. */
  readonly launchers: number;
  /** What scripts are given as their MLflow tracking server; absent: the platform's own MLflow port. */
  readonly gatewayUrl: string | undefined;
  /** Jobs that may wait at once; what is handed in beyond them is refused. */
  readonly maxQueued: number;
  /** How long the machine of a running job may be silent before the job is given up. */
  readonly lostAfterSeconds: number;
  /** How much of what a script prints is kept: of more, the middle goes. */
  readonly outputLimitBytes: number;
  /** Processes and threads that a script may have at once, where it is set apart. */
  readonly processLimit: number;
  /** The largest file that a table is written from. */
  readonly uploadLimitBytes: number;
  /** How long a registered model may take to be loaded and to predict an example. */
  readonly modelCheckSeconds: number;
  /** Whether scripts are set apart from the platform: as far as the system allows, not at all, or fully or not at all. */
  readonly isolation: 'auto' | 'off' | 'required';
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
    environmentsLimitBytes: value.ASGARD_ENVIRONMENTS_LIMIT * 2 ** 30,
    host: value.HOST,
    apiKey: value.ASGARD_API_KEY,
    allowedOrigins: value.ASGARD_ALLOWED_ORIGINS,
    trustedProxies: value.ASGARD_TRUSTED_PROXIES,
    requestsPerMinute: value.ASGARD_RATE_LIMIT ?? (value.ASGARD_API_KEY === undefined ? 0 : DEFAULT_RATE_LIMIT),
    hasGraphiql: value.ASGARD_GRAPHIQL,
    hasIntrospection: value.ASGARD_INTROSPECTION,
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
    workerSlots: value.ASGARD_WORKER_SLOTS,
    launchers: value.ASGARD_LAUNCHERS,
    gatewayUrl: value.ASGARD_GATEWAY_URL,
    maxQueued: value.ASGARD_MAX_QUEUED,
    lostAfterSeconds: value.ASGARD_LOST_AFTER,
    outputLimitBytes: value.ASGARD_OUTPUT_LIMIT * 1024 * 1024,
    processLimit: value.ASGARD_PROCESS_LIMIT,
    uploadLimitBytes: value.ASGARD_UPLOAD_LIMIT * 1024 * 1024,
    modelCheckSeconds: value.ASGARD_MODEL_CHECK_LIMIT,
    isolation: value.ASGARD_ISOLATION,
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
