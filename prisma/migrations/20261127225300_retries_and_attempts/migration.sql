-- CreateEnum
CREATE TYPE "RetryOn" AS ENUM ('INFRASTRUCTURE', 'ANY');

-- AlterTable
ALTER TABLE "job_attempts" ADD COLUMN     "cpu_seconds" DOUBLE PRECISION,
ADD COLUMN     "error" TEXT,
ADD COLUMN     "first_sequence" INTEGER,
ADD COLUMN     "last_sequence" INTEGER,
ADD COLUMN     "max_rss_bytes" BIGINT,
ADD COLUMN     "status" "JobStatus" NOT NULL DEFAULT 'PREPARING';

-- AlterTable
ALTER TABLE "job_model_versions" ADD COLUMN     "attempt_id" BIGINT;

-- AlterTable
ALTER TABLE "job_runs" ADD COLUMN     "attempt_id" BIGINT;

-- AlterTable
ALTER TABLE "job_saved_models" ADD COLUMN     "attempt_id" BIGINT;

-- AlterTable
ALTER TABLE "training_jobs" ADD COLUMN     "not_before" TIMESTAMPTZ(3),
ADD COLUMN     "retries" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "retry_on" "RetryOn" NOT NULL DEFAULT 'INFRASTRUCTURE';

-- Below: what Prisma's schema language cannot say.

-- Until now a job had one attempt.
UPDATE "job_attempts" SET "status" = "training_jobs"."status", "error" = "training_jobs"."error"
FROM "training_jobs" WHERE "training_jobs"."id" = "job_id";
UPDATE "job_attempts" SET "last_sequence" = "training_jobs"."last_sequence"
FROM "training_jobs" WHERE "training_jobs"."id" = "job_id" AND "ended_at" IS NOT NULL;
UPDATE "job_runs" SET "attempt_id" = "job_attempts"."id" FROM "job_attempts" WHERE "job_attempts"."job_id" = "job_runs"."job_id";
UPDATE "job_saved_models" SET "attempt_id" = "job_attempts"."id"
FROM "job_attempts" WHERE "job_attempts"."job_id" = "job_saved_models"."job_id";
UPDATE "job_model_versions" SET "attempt_id" = "job_attempts"."id"
FROM "job_attempts" WHERE "job_attempts"."job_id" = "job_model_versions"."job_id";

-- What a claim reads: the jobs alone that can be claimed, the highest priority first and of that the oldest.
DROP INDEX "training_jobs_queue_idx";
CREATE INDEX "training_jobs_queue_idx" ON "training_jobs"("priority" DESC, "created_at", "id")
    WHERE "status" = 'QUEUED' AND "not_before" IS NULL;
-- The others of the queue, which pause before their next attempt.
CREATE INDEX "training_jobs_pauses_idx" ON "training_jobs"("not_before") WHERE "status" = 'QUEUED' AND "not_before" IS NOT NULL;
