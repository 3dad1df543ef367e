-- AlterTable
ALTER TABLE "job_feature_reads" ADD COLUMN     "retrieval" JSONB;
