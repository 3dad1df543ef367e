import { delimiter, dirname, join, resolve } from 'node:path';
import type { S3Settings } from '../config-s3.ts';
import type { Logger } from '../platform/logger.ts';
import { inheritedOf, s3Credentials } from '../storage/s3-environment.ts';

/** What it may know of the caller's environment. No secret is among them. */
const INHERITED = ['HOME', 'PATH', 'TMPDIR', 'LANG', 'LC_ALL', 'TZ', 'SSL_CERT_FILE', 'LD_LIBRARY_PATH'];

export interface ManagedMlflowOptions {
  /** The interpreter of an environment that has mlflow and psycopg2. */
  readonly python: string;
  /** `postgresql://…` of the database that holds MLflow's tables. */
  readonly databaseUrl: string;
  /** Where artifacts lie, unless `s3` says otherwise. Its parent holds what the server needs. */
  readonly artifactsFolder: string;
  /** Artifacts lie in this bucket, under `artifacts/` in its prefix. */
  readonly s3?: S3Settings | undefined;
  readonly logFile: string;
  readonly logger?: Logger;
}

/** The whole environment of the server's process. */
export function mlflowEnvironment(options: ManagedMlflowOptions): NodeJS.ProcessEnv {
  const { python, databaseUrl, s3 } = options;
  const inherited = inheritedOf(INHERITED);
  return {
    ...inherited,
    ...(s3 === undefined ? {} : { ...s3Environment(s3), TMPDIR: passingFolder(options) }),
    PATH: [dirname(python), inherited['PATH']].filter(Boolean).join(delimiter),
    // SQLAlchemy picks its driver by this name; left out, its newer versions take one that is not installed.
    MLFLOW_BACKEND_STORE_URI: databaseUrl.replace(/^postgres(ql)?:/, 'postgresql+psycopg2:'),
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION: 'false',
    MLFLOW_DISABLE_TELEMETRY: 'true',
    DO_NOT_TRACK: 'true',
    PYTHONUNBUFFERED: '1',
  };
}

function s3Environment({ region, endpoint, isPathStyle }: S3Settings): NodeJS.ProcessEnv {
  return {
    ...s3Credentials(),
    ...(region === undefined ? {} : { AWS_DEFAULT_REGION: region }),
    ...(endpoint === undefined ? {} : { MLFLOW_S3_ENDPOINT_URL: endpoint }),
    MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE: isPathStyle ? 'path' : 'auto',
  };
}

/** Where files are on their way to S3 and back. The machine's own folder for such may be memory. */
export function passingFolder({ artifactsFolder }: ManagedMlflowOptions): string {
  return join(dirname(resolve(artifactsFolder)), 'passing');
}
