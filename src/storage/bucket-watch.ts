import { setTimeout as delay } from 'node:timers/promises';
import type { S3Settings } from '../config-s3.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { S3Bucket } from './s3.ts';
import { S3Error } from './s3-failure.ts';

/** Between two looks at a bucket that is as it should be, and at one that somebody may be mending. */
const STEADY_PAUSE_MS = 30_000;
const TROUBLED_PAUSE_MS = 5_000;
/** For one look: looking for credentials may mean to ask a service of the machine's, which may not be there. */
const LOOK_LIMIT_MS = 20_000;

export interface BucketWatchOptions {
  readonly settings: S3Settings;
  readonly logger: Logger;
  /** Runs when what is wrong has changed, with null when nothing is. */
  readonly onChange: (problem: string | null) => void;
}

/** Looks at the bucket in the background, at once and then again and again, and logs one line whenever it is otherwise. */
export class BucketWatch implements AsyncDisposable {
  readonly #options: BucketWatchOptions;
  readonly #stop = new AbortController();
  readonly #firstLook = Promise.withResolvers<void>();
  readonly #watching: Promise<void>;
  #problem: S3Error | null = null;

  constructor(options: BucketWatchOptions) {
    this.#options = options;
    this.#watching = this.#watch();
  }

  /** Whether no credentials were found at the last look. Waits for the first. */
  async hasNoCredentials(): Promise<boolean> {
    await this.#firstLook.promise;
    return this.#problem?.kind === 'no-credentials';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    for (let looks = 0; !signal.aborted; looks += 1) {
      const problem = await this.#look();
      if (signal.aborted) break;
      if (looks === 0 || problem?.message !== this.#problem?.message) this.#tell(problem);
      this.#problem = problem;
      this.#firstLook.resolve();
      // Each search for credentials may wait seconds for a service of the machine's, and they seldom come later.
      const isSteady = problem === null || problem.kind === 'no-credentials';
      const pauseMs = isSteady ? STEADY_PAUSE_MS : TROUBLED_PAUSE_MS;
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
    this.#firstLook.resolve();
  }

  async #look(): Promise<S3Error | null> {
    const { settings } = this.#options;
    const limit = AbortSignal.timeout(LOOK_LIMIT_MS);
    // A client of its own each time: one keeps the credentials that it once found.
    using bucket = new S3Bucket(settings);
    try {
      await bucket.check(AbortSignal.any([this.#stop.signal, limit]));
      return null;
    } catch (error) {
      if (error instanceof S3Error) return error;
      if (limit.aborted)
        return new S3Error('away', `the S3 server of bucket ${settings.bucket} does not answer in time`);
      return new S3Error('away', `bucket ${settings.bucket} cannot be looked at: ${messageOf(error)}`);
    }
  }

  #tell(problem: S3Error | null): void {
    const { settings, logger, onChange } = this.#options;
    const { bucket, prefix } = settings;
    if (problem === null) logger.info({ bucket, prefix }, 's3.ready');
    else logger.warn({ bucket, prefix, kind: problem.kind, problem: problem.message }, 's3.not_ready');
    onChange(problem?.message ?? null);
  }
}
