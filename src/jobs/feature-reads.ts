import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { PrismaClient } from '../database/generated/client.ts';
import type { MlflowClient } from '../mlflow/client.ts';
import type { JobIdentity } from '../mlflow/job-identity.ts';
import { bounded } from '../platform/bounded.ts';
import { invalidInput } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { nameText } from '../platform/text.ts';
import { appendEvents } from './event-store.ts';
import { snapshotId, tableName } from './feature-pins.ts';
import { logReads } from './feature-read-log.ts';
import { retrieval } from './trained-features.ts';
import { keepTrainingRows, trainingRows } from './training-rows.ts';

const MAX_READS = 100;
const MAX_FEATURES = 1000;
/** Different ones that an attempt may have. */
const MAX_OF_ATTEMPT = 1000;
/** Names in a line of a job's log. */
const MAX_TOLD = 10;
/** The script waits for its answer meanwhile. What is not logged by then is at the end. */
const LOG_LIMIT_MS = 3_000;

const featureRead = z.object({
  feature_view: nameText(500),
  features: bounded(z.array(nameText(500)).min(1), MAX_FEATURES),
  table: tableName,
  snapshot_id: snapshotId.nullable(),
  entity_rows: z.int().min(0),
  retrieval: retrieval.nullable().default(null),
});

/**
 * What a job's offline store tells of a retrieval: what it read of each feature view, the MLflow run that was active, and some rows of
 * what the script was given.
 */
export const featureReadReport = z.object({
  reads: bounded(z.array(featureRead).min(1), MAX_READS),
  run_id: nameText(100).nullable().default(null),
  training_rows: trainingRows.nullable().default(null),
});

export type FeatureReadReport = z.infer<typeof featureReadReport>;
type FeatureRead = z.infer<typeof featureRead>;

/** Keeps what scripts read of the feature store, with a line in the job's log, and has it on their MLflow runs. */
export class FeatureReads {
  readonly #database: PrismaClient;
  readonly #mlflow: MlflowClient;
  readonly #keepsRows: boolean;
  readonly #logger: Logger;

  /** @param options.keepsRows whether rows of training sets are kept; else they are dropped */
  constructor(options: { database: PrismaClient; mlflow: MlflowClient; keepsRows: boolean; logger: Logger }) {
    this.#database = options.database;
    this.#keepsRows = options.keepsRows;
    this.#mlflow = options.mlflow;
    this.#logger = options.logger;
  }

  /**
   * Stores a report. Safe to repeat: the same read counts once.
   * @throws AsgardError INVALID_INPUT when the attempt has more different ones than are kept
   */
  async record(identity: JobIdentity, report: FeatureReadReport): Promise<void> {
    const { run_id: runId } = report;
    await this.#store(identity, report);
    if (runId === null) return;
    const signal = AbortSignal.timeout(LOG_LIMIT_MS);
    await logReads(this.#database, this.#mlflow, runId, signal).catch((error: unknown) => {
      this.#logger.warn({ jobId: identity.jobId, runId, err: error }, 'job.feature_reads_not_logged');
    });
  }

  async #store({ jobId, attemptId }: JobIdentity, { reads, run_id: runId, training_rows }: FeatureReadReport) {
    await this.#database.$transaction(async (transaction) => {
      if (training_rows !== null && this.#keepsRows) {
        await keepTrainingRows(transaction, attemptId, runId, training_rows);
      }
      const told: string[] = [];
      for (const read of reads) {
        const features = [...new Set(read.features)].toSorted();
        const { feature_view: view, table, snapshot_id: snapshot, entity_rows: rows } = read;
        const how = read.retrieval === null ? null : JSON.stringify(read.retrieval);
        const digest = createHash('sha256')
          .update(JSON.stringify([view, table, snapshot, runId, features, how]))
          .digest();
        const [written] = await transaction.$queryRaw<{ isNew: boolean }[]>`
          INSERT INTO job_feature_reads
            (job_id, attempt_id, run_id, feature_view, table_name, snapshot_id, features, entity_rows, retrieval, digest)
          VALUES (${jobId}, ${attemptId}, ${runId}, ${view}, ${table}, ${snapshot}, ${features}, ${rows}, ${how}::jsonb, ${digest})
          ON CONFLICT (attempt_id, digest) DO UPDATE
            SET entity_rows = greatest(job_feature_reads.entity_rows, excluded.entity_rows)
          RETURNING xmax = 0 AS "isNew"`;
        if (written?.isNew === true) told.push(lineOf({ ...read, features }));
      }
      if (told.length === 0) return;
      if ((await transaction.jobFeatureRead.count({ where: { attemptId } })) > MAX_OF_ATTEMPT) {
        throw invalidInput(['reads'], `more than ${MAX_OF_ATTEMPT} different reads of features are not kept`);
      }
      const at = new Date().toISOString();
      const events = told.map((text) => ({ type: 'log', at, stream: 'platform', text }) as const);
      await appendEvents(transaction, jobId, events, { id: attemptId });
    });
  }
}

function lineOf({
  feature_view: view,
  features,
  table,
  snapshot_id: snapshot,
  entity_rows: rows,
}: FeatureRead): string {
  const more = features.length > MAX_TOLD ? ` and ${features.length - MAX_TOLD} more` : '';
  const names = features.slice(0, MAX_TOLD).join(', ') + more;
  const where = snapshot === null ? `${table}, which is empty` : `${table} at snapshot ${snapshot}`;
  return `Features of ${view} were read for ${rows} rows: ${names}; from ${where}`;
}
