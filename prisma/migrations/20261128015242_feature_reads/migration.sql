-- AlterTable
ALTER TABLE "training_jobs" ADD COLUMN     "feature_pins" JSONB;

-- CreateTable
CREATE TABLE "job_feature_reads" (
    "id" BIGSERIAL NOT NULL,
    "job_id" TEXT NOT NULL,
    "attempt_id" BIGINT NOT NULL,
    "run_id" TEXT,
    "feature_view" TEXT NOT NULL,
    "table_name" TEXT NOT NULL,
    "snapshot_id" TEXT,
    "features" TEXT[],
    "entity_rows" BIGINT NOT NULL,
    "digest" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_feature_reads_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "job_feature_reads_job_id_id_idx" ON "job_feature_reads"("job_id", "id");

-- CreateIndex
CREATE INDEX "job_feature_reads_run_id_idx" ON "job_feature_reads"("run_id");

-- CreateIndex
CREATE INDEX "job_feature_reads_feature_view_job_id_idx" ON "job_feature_reads"("feature_view", "job_id");

-- CreateIndex
CREATE UNIQUE INDEX "job_feature_reads_attempt_id_digest_key" ON "job_feature_reads"("attempt_id", "digest");

-- AddForeignKey
ALTER TABLE "job_feature_reads" ADD CONSTRAINT "job_feature_reads_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "training_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
