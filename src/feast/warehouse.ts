import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import type { S3Settings } from '../config-s3.ts';
import { untilAborted } from '../platform/abort.ts';
import { AsgardError, messageOf } from '../platform/errors.ts';
import { makeFolder } from '../platform/folder.ts';
import { S3Bucket } from '../storage/s3.ts';

/** Scripts read it, and run under other accounts where the platform is root. */
const MODE = process.getuid?.() === 0 ? 0o755 : 0o700;

/** Where tables' files lie. */
export class Warehouse {
  readonly #folder: string | undefined;
  readonly #s3: S3Settings | undefined;

  /** Neither: where they lie is known to the catalog alone. */
  constructor({ folder, s3 }: { readonly folder?: string | undefined; readonly s3?: S3Settings | undefined }) {
    this.#folder = folder;
    this.#s3 = s3;
  }

  /**
   * Whether it can be read and written, as far as that is known. A folder that is not there yet is made, unless there are tables, whose files are
   * then elsewhere: on a disk that is not mounted, perhaps.
   * @throws AsgardError UNAVAILABLE, S3Error saying what is wrong; the signal's reason
   */
  async check(signal: AbortSignal, hasTables: boolean): Promise<void> {
    if (this.#s3 !== undefined) {
      // A client of its own each time: one keeps the credentials that it once found.
      using bucket = new S3Bucket(this.#s3);
      return await bucket.check(signal);
    }
    // A file system behind a network may never answer.
    if (this.#folder !== undefined) await untilAborted(checkFolder(this.#folder, hasTables), signal);
  }
}

async function checkFolder(folder: string, hasTables: boolean): Promise<void> {
  try {
    if (!hasTables) await makeFolder(folder, MODE);
    if (!(await stat(folder)).isDirectory()) throw new Error('it is no folder');
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const message = `the warehouse folder ${folder} cannot be used: ${messageOf(cause)}; mend it, or set ICEBERG_WAREHOUSE`;
    throw new AsgardError('UNAVAILABLE', message, { cause });
  }
}
