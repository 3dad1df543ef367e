-- AlterTable
ALTER TABLE "job_attempts" ADD COLUMN     "frames_stored" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "machine" TEXT NOT NULL DEFAULT '',
ADD COLUMN     "place" TEXT NOT NULL DEFAULT '';
