-- DropIndex
DROP INDEX "training_jobs_status_created_at_idx";

-- CreateIndex
CREATE INDEX "training_jobs_status_created_at_id_idx" ON "training_jobs"("status", "created_at", "id");

-- CreateIndex
CREATE INDEX "training_jobs_experiment_name_created_at_id_idx" ON "training_jobs"("experiment_name", "created_at", "id");

-- CreateIndex
CREATE INDEX "training_jobs_model_name_created_at_id_idx" ON "training_jobs"("model_name", "created_at", "id");

-- CreateIndex
CREATE INDEX "training_jobs_tags_idx" ON "training_jobs" USING GIN ("tags" jsonb_path_ops);

-- Below: what Prisma's schema language cannot say.

-- The orders by when a job was started and when it ended. One that has not come to that counts as the oldest: the value that
-- stands for it lets one comparison of rows give the rest of a list after any place in it.
CREATE INDEX "training_jobs_started_idx" ON "training_jobs" (coalesce("started_at", '-infinity'::timestamptz), "id");
CREATE INDEX "training_jobs_completed_idx" ON "training_jobs" (coalesce("completed_at", '-infinity'::timestamptz), "id");
