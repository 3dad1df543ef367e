-- AlterTable
ALTER TABLE "training_jobs" ADD COLUMN     "grace_seconds" INTEGER NOT NULL DEFAULT 10,
ADD COLUMN     "idempotency_key" TEXT,
ADD COLUMN     "priority" INTEGER NOT NULL DEFAULT 0;

-- CreateIndex
CREATE UNIQUE INDEX "training_jobs_idempotency_key_key" ON "training_jobs"("idempotency_key");

-- Below: what Prisma's schema language cannot say.

-- What a claim reads: the queue alone, the highest priority first and of that the oldest, however many jobs have ended.
DROP INDEX "training_jobs_queue_idx";
CREATE INDEX "training_jobs_queue_idx" ON "training_jobs"("priority" DESC, "created_at", "id") WHERE "status" = 'QUEUED';
