import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { inheritedEnvironment } from '../../src/config.ts';
import { ChildProcess } from '../../src/platform/process.ts';
import { TOOLCHAIN } from './data-folder.ts';
import { poll } from './poll.ts';
import { quietPort } from './quiet-port.ts';

const START_LIMIT_MS = 60_000;
const REGION = 'eu-north-1';

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** An S3 server on a free port of 127.0.0.1 that checks credentials. Disposing ends it and removes what it keeps. */
export class S3ServerForTests implements AsyncDisposable {
  readonly url: string;
  readonly keys: Keys;
  readonly #client: S3Client;
  readonly #stack: AsyncDisposableStack;

  constructor(url: string, keys: Keys, stack: AsyncDisposableStack) {
    this.url = url;
    this.keys = keys;
    this.#stack = stack;
    const options = { endpoint: url, region: REGION, credentials: keys, forcePathStyle: true, maxAttempts: 1 };
    this.#client = new S3Client(options);
    stack.defer(() => this.#client.destroy());
  }

  /** What a platform is told, so that it keeps its things in a bucket here. `url`: another way to the server. */
  variables(bucket: string, url = this.url): NodeJS.ProcessEnv {
    return {
      ...withoutAws(),
      AWS_S3_BUCKET: bucket,
      AWS_ENDPOINT_URL_S3: url,
      AWS_DEFAULT_REGION: REGION,
      AWS_ACCESS_KEY_ID: this.keys.accessKeyId,
      AWS_SECRET_ACCESS_KEY: this.keys.secretAccessKey,
    };
  }

  async createBucket(bucket: string): Promise<void> {
    await this.#client.send(new CreateBucketCommand({ Bucket: bucket }));
  }

  /** Lets another account of the server read a bucket, and do nothing else. */
  async letRead(bucket: string, account: string): Promise<void> {
    const resource = `arn:aws:s3:::${bucket}`;
    const statement = {
      Effect: 'Allow',
      Principal: { AWS: [account] },
      Action: ['s3:GetObject', 's3:ListBucket'],
      Resource: [resource, `${resource}/*`],
    };
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
    await this.#client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  }

  /** The keys and sizes of what is in a bucket. */
  async list(bucket: string): Promise<ReadonlyMap<string, number>> {
    const { Contents = [] } = await this.#client.send(new ListObjectsV2Command({ Bucket: bucket }));
    return new Map(Contents.map(({ Key = '', Size = 0 }) => [Key, Size]));
  }

  async text(bucket: string, key: string): Promise<string> {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return (await Body?.transformToString()) ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** moto's server, a mock that `npm test` has from PyPI. Its credentials are those of a user who may do the given things. */
export async function startMoto(actions: readonly string[] = ['s3:*']): Promise<S3ServerForTests> {
  await using stack = new AsyncDisposableStack();
  const port = await quietPort();
  const url = `http://127.0.0.1:${port}`;
  const program = join(TOOLCHAIN, 'test-python', 'bin', 'moto_server');
  const { PATH, HOME } = inheritedEnvironment();
  await start(stack, {
    // A page of its own, which does not count as a call.
    url: `${url}/moto-api/data.json`,
    argv: [program, '-H', '127.0.0.1', '-p', String(port)],
    // The three calls that make the user; whatever comes after them must be signed.
    env: { PATH, HOME, INITIAL_NO_AUTH_ACTION_COUNT: '3' },
  });
  const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] };
  const user = { UserName: 'asgard' };
  await iam(url, { Action: 'CreateUser', ...user });
  await iam(url, { Action: 'PutUserPolicy', ...user, PolicyName: 's3', PolicyDocument: JSON.stringify(policy) });
  const made = await iam(url, { Action: 'CreateAccessKey', ...user });
  const keys = { accessKeyId: element(made, 'AccessKeyId'), secretAccessKey: element(made, 'SecretAccessKey') };
  return new S3ServerForTests(url, keys, stack.move());
}

/** versitygw, a real server, which `scripts/build-s3-server.mjs` builds. */
export async function startVersitygw(program: string): Promise<S3ServerForTests> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'asgard-s3-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  for (const name of ['accounts', 'buckets']) await mkdir(join(folder, name));
  const port = await quietPort();
  const url = `http://127.0.0.1:${port}`;
  const keys = { accessKeyId: 'asgard', secretAccessKey: randomBytes(20).toString('hex') };
  const { PATH } = inheritedEnvironment();
  await start(stack, {
    url,
    argv: [
      program,
      '--port',
      `127.0.0.1:${port}`,
      '--region',
      REGION,
      '--quiet',
      '--iam-dir',
      join(folder, 'accounts'),
      'posix',
      '--sidecar',
      folder,
      join(folder, 'buckets'),
    ],
    env: { PATH, ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey, HOME: dirname(folder) },
  });
  return new S3ServerForTests(url, keys, stack.move());
}

/** Makes an account of a versitygw which may do nothing yet. */
export async function addAccount(
  program: string,
  { url, keys }: S3ServerForTests,
  access: string,
  secret: string,
): Promise<void> {
  const as = [
    '--access',
    keys.accessKeyId,
    '--secret',
    keys.secretAccessKey,
    '--region',
    REGION,
    '--endpoint-url',
    url,
  ];
  const account = ['--access', access, '--secret', secret, '--role', 'user'];
  const { PATH } = inheritedEnvironment();
  await promisify(execFile)(program, ['admin', ...as, 'create-user', ...account], { env: { PATH }, timeout: 60_000 });
}

async function start(
  stack: AsyncDisposableStack,
  { url, argv, env }: { url: string; argv: [string, ...string[]]; env: NodeJS.ProcessEnv },
): Promise<void> {
  const child = stack.use(await ChildProcess.start({ argv, env }));
  const look = async () => (await fetch(url).catch(() => null))?.status ?? child.tail;
  await poll(look, (seen) => typeof seen === 'number', START_LIMIT_MS);
}

/** By hand: one client library more would only serve these three calls. */
async function iam(url: string, parameters: Record<string, string>): Promise<string> {
  const credential = 'Credential=anyone/20260101/us-east-1/iam/aws4_request';
  const answer = await fetch(url, {
    method: 'POST',
    headers: { authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host, Signature=none` },
    body: new URLSearchParams({ Version: '2010-05-08', ...parameters }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`moto refused ${parameters['Action']}: ${text}`);
  return text;
}

function element(xml: string, name: string): string {
  const found = new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml)?.[1];
  if (found === undefined) throw new Error(`moto's answer has no ${name}: ${xml}`);
  return found;
}

/** Whatever the machine has of AWS must not decide what a test sees. An empty variable counts as absent. */
function withoutAws(): NodeJS.ProcessEnv {
  const names = Object.keys(inheritedEnvironment()).filter((name) => /^(AWS_|MLFLOW_S3_)/.test(name));
  const nowhere = '/nonexistent';
  return {
    ...Object.fromEntries(names.map((name) => [name, ''])),
    AWS_SHARED_CREDENTIALS_FILE: nowhere,
    AWS_CONFIG_FILE: nowhere,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}
