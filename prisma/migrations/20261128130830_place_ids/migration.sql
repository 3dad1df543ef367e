-- AlterTable
ALTER TABLE "job_attempts" ADD COLUMN     "place_id" TEXT NOT NULL DEFAULT '';
