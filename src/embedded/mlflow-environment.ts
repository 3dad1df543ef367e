import { delimiter, dirname, join, resolve } from 'node:path';
import type { S3Settings } from '../config.ts';
import { inheritedOf, s3Credentials } from '../storage/s3-environment.ts';
import type { ManagedMlflowOptions } from './mlflow-server.ts';

/** What it may know of the caller's environment. No secret is among them. */
const INHERITED = ['HOME', 'PATH', 'TMPDIR', 'LANG', 'LC_ALL', 'TZ', 'SSL_CERT_FILE', 'LD_LIBRARY_PATH'];

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
