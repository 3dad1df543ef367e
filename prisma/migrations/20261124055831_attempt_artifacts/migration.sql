-- AlterTable
ALTER TABLE "job_attempts" ADD COLUMN     "artifact_error" TEXT,
ADD COLUMN     "has_no_artifacts" BOOLEAN NOT NULL DEFAULT false;
