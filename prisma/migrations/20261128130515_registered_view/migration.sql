-- DropIndex
DROP INDEX "job_feature_reads_feature_view_job_id_idx";

-- AlterTable
-- Made by PostgreSQL, so that it is there of reads that were stored before, and of those of platforms that do not know it.
ALTER TABLE "job_feature_reads" ADD COLUMN     "registered_view" TEXT NOT NULL
  GENERATED ALWAYS AS (coalesce("retrieval" ->> 'view', "feature_view")) STORED;

-- CreateIndex
CREATE INDEX "job_feature_reads_registered_view_job_id_idx" ON "job_feature_reads"("registered_view", "job_id");
