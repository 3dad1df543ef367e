import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { PrismaClient } from '../database/generated/client.ts';
import type { TransactionClient } from '../database/generated/internal/prismaNamespace.ts';
import { type MadeVersion, makerOf } from './version-maker.ts';

/** As many as `python/asgard_feast/retrieval/training_rows.py` makes. */
const MAX_BYTES = 256 * 1024;
const MAX_BASE64 = Math.ceil(MAX_BYTES / 3) * 4;
/** Training sets of an attempt; of more, the first ones. */
const MAX_OF_ATTEMPT = 8;
/** What a Parquet file begins and ends with. */
const MARK = 'PAR1';

/**
 * Some rows of a training set as a script sends them: a Parquet file in base64. Whether it is one, only who reads it will know: a
 * script can send anything, so no more than this is looked at here.
 */
export const trainingRows = z
  .string()
  .max(MAX_BASE64)
  .pipe(z.base64())
  .transform((text) => Buffer.from(text, 'base64'))
  .refine((file) => isMarked(file), 'must be a Parquet file');

function isMarked(file: Buffer): boolean {
  return (
    file.length > 2 * MARK.length &&
    file.subarray(0, 4).equals(Buffer.from(MARK)) &&
    file.subarray(-4).equals(Buffer.from(MARK))
  );
}

/**
 * Keeps rows of an attempt, if they are not there yet and there is room for more.
 * @param runId the MLflow run that was active
 */
export async function keepTrainingRows(
  transaction: TransactionClient,
  attemptId: bigint,
  runId: string | null,
  content: Uint8Array,
): Promise<void> {
  const digest = createHash('sha256').update(content).digest();
  // Of two that come at once and take one number, one is not kept: so there are never too many.
  await transaction.$executeRaw`
    INSERT INTO job_training_rows (attempt_id, number, run_id, content, digest)
    SELECT ${attemptId}, count(*), ${runId}, ${content}, ${digest} FROM job_training_rows WHERE attempt_id = ${attemptId}
    HAVING count(*) < ${MAX_OF_ATTEMPT}
    ON CONFLICT DO NOTHING`;
}

/**
 * Rows of the training sets that a version may come of: those that its attempt's script got, first those of the version's own run.
 * @returns Parquet files, or whatever the script sent as such: only for a process that is set apart
 */
export async function trainingRowsOf(database: PrismaClient, version: MadeVersion): Promise<Uint8Array[]> {
  const { attemptId = null } = (await makerOf(database, version)) ?? {};
  if (attemptId === null) return [];
  const rows = await database.$queryRaw<{ content: Uint8Array }[]>`
    SELECT content FROM job_training_rows WHERE attempt_id = ${attemptId}
    ORDER BY CASE WHEN run_id = ${version.runId} THEN 0 WHEN run_id IS NULL THEN 1 ELSE 2 END, number`;
  return rows.map(({ content }) => content);
}
