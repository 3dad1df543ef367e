import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';
import type { S3Settings } from './config-s3.ts';
import { onOff } from './config-values.ts';

const S3_LOCATION = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[\w.=-]+)*)\/?$/;

/** pyiceberg ends a path at these. */
const UNREADABLE = /[?#]/;

const warehouse = z
  .string()
  .refine(
    (text) => S3_LOCATION.test(text) || !/^\w+:/.test(text),
    'must be a folder, or s3://bucket/prefix: a bucket of a-z, 0-9, "." and "-", and folder names of letters, digits, "_", ".", "=", "-"',
  )
  .refine((text) => !UNREADABLE.test(text), 'must not contain "?" or "#"')
  .transform((text) => (isS3(text) ? text.replace(/\/+$/, '') : resolve(text)));

/** Numbers and truth values are what pyiceberg reads as text. */
const catalogProperties = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown; // whatever it is, it is looked at next
    } catch {
      context.addIssue({ code: 'custom', message: 'must be a JSON object' });
      return z.NEVER;
    }
  })
  .pipe(
    z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean()]).transform(String),
      'must be a JSON object of texts, such as {"type":"rest","uri":"https://catalog.example"}',
    ),
  );

const key = z.string().regex(/^[\x21-\x7e]+$/, 'must be visible characters without blanks');

/** The variables of the feature store, of which those in `SECRET_FEATURE_VARIABLES` must not be shown. */
export const featureVariables = {
  FEATURES_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' }).optional(),
  ICEBERG_WAREHOUSE: warehouse.optional(),
  ICEBERG_CATALOG: catalogProperties.default({}),
  ICEBERG_READ_ACCESS_KEY_ID: key.optional(),
  ICEBERG_READ_SECRET_ACCESS_KEY: key.optional(),
  ASGARD_MATERIALIZE_EVERY: z
    .string()
    .regex(/^\d{1,9}$/, 'must be a whole number of seconds, 0 for never')
    .transform(Number)
    .default(300),
  ASGARD_TRAINING_SAMPLE: onOff.default(true),
  FEAST_REPO_PATH: z
    .string()
    .refine(isAbsolute, 'must be an absolute path, as scripts name it')
    .default('/tmp/feast_repo'),
};

/** They are or may hold a secret. */
export const SECRET_FEATURE_VARIABLES = [
  'FEATURES_DATABASE_URL',
  'ICEBERG_CATALOG',
  'ICEBERG_READ_ACCESS_KEY_ID',
  'ICEBERG_READ_SECRET_ACCESS_KEY',
] as const;

/** Where features are kept, and how they are reached. */
export interface FeaturesConfig {
  /** Absent: the platform's own database, or the embedded server's `features`. */
  readonly databaseUrl: string | undefined;
  /** A folder, or `s3://bucket/prefix`. */
  readonly warehouse: string;
  /** How the warehouse is reached; absent when it is a folder. */
  readonly s3: S3Settings | undefined;
  /** Properties of the Iceberg catalog, as pyiceberg names them; empty for the SQL catalog in the database. */
  readonly catalog: Readonly<Record<string, string>>;
  /** What scripts read an S3 warehouse with. It should not be allowed to write. */
  readonly readKey: { readonly id: string; readonly secret: string } | undefined;
  /** Between two scheduled materializations of a view whose tags say nothing of it; 0 for none. */
  readonly materializeEverySeconds: number;
  /** Whether some rows of each training set are kept, to try models with. */
  readonly keepsTrainingRows: boolean;
  /** Where `feature_store.yaml` is written for whoever uses Feast on the machine by hand. */
  readonly repoPath: string;
}

/** Whether a warehouse is in S3. */
export function isS3(location: string): boolean {
  return location.startsWith('s3:');
}

/** @param s3Of how a bucket, and a prefix in it, is reached */
export function featuresConfig(
  value: z.output<z.ZodObject<typeof featureVariables>>,
  home: string,
  s3Of: (bucket: string, prefix: string) => S3Settings,
): FeaturesConfig {
  const { ICEBERG_READ_ACCESS_KEY_ID: id, ICEBERG_READ_SECRET_ACCESS_KEY: secret } = value;
  const location = value.ICEBERG_WAREHOUSE ?? resolve(home, 'warehouse');
  const [, bucket, prefix = ''] = S3_LOCATION.exec(location) ?? [];
  return {
    databaseUrl: value.FEATURES_DATABASE_URL,
    warehouse: location,
    s3: bucket === undefined ? undefined : s3Of(bucket, prefix.slice(1)),
    catalog: value.ICEBERG_CATALOG,
    readKey: id === undefined || secret === undefined ? undefined : { id, secret },
    materializeEverySeconds: value.ASGARD_MATERIALIZE_EVERY,
    keepsTrainingRows: value.ASGARD_TRAINING_SAMPLE,
    repoPath: value.FEAST_REPO_PATH,
  };
}
