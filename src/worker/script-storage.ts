import type { TrainingJob } from '../database/generated/client.ts';
import { messageOf } from '../platform/errors.ts';
import type { S3Bucket } from '../storage/s3.ts';

/** A bucket that is away holds up the end of a job for no longer than this. */
const LIMIT_MS = 20_000;

export interface ScriptStorageOptions {
  readonly bucket: S3Bucket;
  readonly job: Pick<TrainingJob, 'id' | 'scriptName' | 'script'>;
  /** Calls it off. */
  readonly signal: AbortSignal;
  /** Writes a line into the job's log. */
  readonly say: (text: string) => Promise<void>;
}

/**
 * Stores a job's script in the bucket while the job goes on: as `scripts/<job id>/<script name>`. The database has it
 * already, so a job runs all the same when that fails, and its log says so. Disposing waits for it.
 */
export class ScriptStorage implements AsyncDisposable {
  readonly #storing: Promise<void>;

  constructor(options: ScriptStorageOptions) {
    this.#storing = store(options);
    this.#storing.catch(() => {}); // whoever disposes is told
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#storing;
  }
}

async function store({ bucket, job, signal, say }: ScriptStorageOptions): Promise<void> {
  const key = `scripts/${job.id}/${job.scriptName}`;
  const limit = AbortSignal.timeout(LIMIT_MS);
  try {
    await bucket.put(key, job.script, AbortSignal.any([signal, limit]));
  } catch (error) {
    if (signal.aborted) return;
    const why = limit.aborted ? `not within ${LIMIT_MS / 1000} s` : messageOf(error);
    await say(`The script could not be stored as ${bucket.address(key)}: ${why}. The job runs all the same`);
  }
}
