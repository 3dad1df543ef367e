import { AsgardError } from '../platform/errors.ts';

/**
 * What is wrong with the bucket.
 * - `no-credentials`: nothing that the SDK knows of gives any.
 * - `missing`: there is no such bucket.
 * - `refused`: S3 does not take the credentials, or they are not enough.
 * - `away`: the server does not answer, or cannot serve now; the same may work later.
 */
export type BucketProblemKind = 'no-credentials' | 'missing' | 'refused' | 'away';

/** A failure of S3. Its message names the bucket and repeats nothing that S3 said, which may hold what it was sent. */
export class S3Error extends AsgardError {
  readonly kind: BucketProblemKind;

  constructor(kind: BucketProblemKind, message: string) {
    // No cause: the SDK's errors hold the request, with its signature.
    super(kind === 'away' ? 'UNAVAILABLE' : 'UPSTREAM', message);
    this.kind = kind;
  }
}

/** What the SDK threw, in our words. */
export function explainedFailure(error: unknown, bucket: string): S3Error {
  const { name, status, code } = readFailure(error);
  if (name === 'CredentialsProviderError') return new S3Error('no-credentials', 'AWS S3 credentials not configured');
  // A web identity's token is a file.
  if (code === 'ENOENT' || code === 'EACCES') {
    return new S3Error('refused', `the AWS credentials of the platform cannot be read (${code})`);
  }
  if (name === 'NoSuchBucket') return new S3Error('missing', `the S3 bucket ${bucket} does not exist`);
  if (status === null || status >= 500 || status === 429 || name === 'SlowDown') {
    const why = status === null ? code : `${code}, HTTP status ${status}`;
    return new S3Error('away', `the S3 server of bucket ${bucket} does not answer (${why})`);
  }
  return new S3Error('refused', `S3 refuses the credentials for bucket ${bucket} (${code}, HTTP status ${status})`);
}

/** The status that S3 answered with; null when no answer came. */
export function answeredStatus(error: unknown): number | null {
  return readFailure(error).status;
}

function readFailure(error: unknown): { name: string; status: number | null; code: string } {
  if (!(error instanceof Error)) return { name: '', status: null, code: 'unknown' };
  const { $metadata: metadata, code } = error as { $metadata?: { httpStatusCode?: number }; code?: unknown };
  return {
    name: error.name,
    status: metadata?.httpStatusCode ?? null,
    // A connection's failure has a code, S3's own a name.
    code: typeof code === 'string' ? code : error.name,
  };
}
