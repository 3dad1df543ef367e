import { HeadBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Settings } from '../config-s3.ts';
import { answeredStatus, explainedFailure, S3Error } from './s3-failure.ts';

/** With the SDK's three tries and their pauses, one call ends within some 50 s even when nothing is ever answered. */
const CONNECT_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_TRIES = 3;
/** S3 takes any region's name for one that it can correct, and other servers mind none. */
const ANY_REGION = 'us-east-1';

/** The platform's part of a bucket. Credentials come from the SDK's default chain. Whoever makes it disposes of it. */
export class S3Bucket implements Disposable {
  readonly #settings: S3Settings;
  readonly #client: S3Client;

  constructor(settings: S3Settings) {
    const { region, endpoint, isPathStyle } = settings;
    this.#settings = settings;
    this.#client = new S3Client({
      region: region ?? (() => profileRegion()),
      ...(endpoint === undefined ? {} : { endpoint }),
      forcePathStyle: isPathStyle,
      followRegionRedirects: true,
      retryMode: 'standard',
      maxAttempts: MAX_TRIES,
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
      },
    });
  }

  /** `s3://bucket/prefix/key` */
  address(key: string): string {
    return `s3://${this.#settings.bucket}/${this.#path(key)}`;
  }

  /**
   * Stores a text, in place of what was there.
   * @param key below the prefix, e.g. `scripts/<job id>/<script name>`
   * @throws S3Error; the signal's reason when it aborts
   */
  async put(key: string, text: string, signal?: AbortSignal): Promise<void> {
    const { bucket } = this.#settings;
    const command = new PutObjectCommand({
      Bucket: bucket,
      Key: this.#path(key),
      Body: text,
      ContentType: 'text/plain; charset=utf-8',
    });
    await this.#send(() => this.#client.send(command, signal === undefined ? {} : { abortSignal: signal }), signal);
  }

  /**
   * Whether the bucket is there and takes what it is sent.
   * @throws S3Error saying what is wrong; the signal's reason when it aborts
   */
  async check(signal: AbortSignal): Promise<void> {
    const { bucket } = this.#settings;
    const command = new HeadBucketCommand({ Bucket: bucket });
    const failure = await this.#client.send(command, { abortSignal: signal }).then(
      () => null,
      (error: unknown) => ({ error }),
    );
    if (failure === null) return;
    signal.throwIfAborted();
    const status = answeredStatus(failure.error);
    if (status === null || status >= 500) throw explainedFailure(failure.error, bucket);
    // A HEAD's refusal has no words. What S3 says to a small object tells a missing bucket, wrong credentials and those
    // that may not list from each other.
    await this.put('.asgard-check', '', signal);
    throw new S3Error(
      'refused',
      `the credentials may write to the S3 bucket ${bucket} but not list it: models cannot be loaded (s3:ListBucket is missing)`,
    );
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  #path(key: string): string {
    const { prefix } = this.#settings;
    return prefix === '' ? key : `${prefix}/${key}`;
  }

  async #send<T>(call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    try {
      return await call();
    } catch (error) {
      signal?.throwIfAborted();
      throw explainedFailure(error, this.#settings.bucket);
    }
  }
}

/** The region that the profile in use names. */
async function profileRegion(): Promise<string> {
  const client = new S3Client({});
  try {
    return await client.config.region();
  } catch {
    return ANY_REGION;
  } finally {
    client.destroy();
  }
}
