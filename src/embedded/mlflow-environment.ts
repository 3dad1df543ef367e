import { delimiter, dirname, join, resolve } from 'node:path';
import { inheritedEnvironment, type S3Settings } from '../config.ts';
import type { ManagedMlflowOptions } from './mlflow-server.ts';

/** What it may know of the caller's environment. No secret is among them. */
const INHERITED = ['HOME', 'PATH', 'TMPDIR', 'LANG', 'LC_ALL', 'TZ', 'SSL_CERT_FILE', 'LD_LIBRARY_PATH'];
/** What it needs beside those to keep artifacts in S3: where credentials are, and how to get there. */
const INHERITED_FOR_S3 = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_ROLE_ARN',
  'AWS_ROLE_SESSION_NAME',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_ENDPOINT_URL_STS',
  'AWS_STS_REGIONAL_ENDPOINTS',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_EC2_METADATA_DISABLED',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE',
  'AWS_USE_FIPS_ENDPOINT',
  'AWS_USE_DUALSTACK_ENDPOINT',
  'AWS_REQUEST_CHECKSUM_CALCULATION',
  'AWS_RESPONSE_CHECKSUM_VALIDATION',
  'AWS_CA_BUNDLE',
];

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
    ...inheritedOf(INHERITED_FOR_S3),
    ...(region === undefined ? {} : { AWS_DEFAULT_REGION: region }),
    ...(endpoint === undefined ? {} : { MLFLOW_S3_ENDPOINT_URL: endpoint }),
    MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE: isPathStyle ? 'path' : 'auto',
  };
}

function inheritedOf(names: readonly string[]): Record<string, string> {
  const given = inheritedEnvironment();
  return Object.fromEntries(names.flatMap((name) => (given[name] ? [[name, given[name]]] : [])));
}

/** Where files are on their way to S3 and back. The machine's own folder for such may be memory. */
export function passingFolder({ artifactsFolder }: ManagedMlflowOptions): string {
  return join(dirname(resolve(artifactsFolder)), 'passing');
}
