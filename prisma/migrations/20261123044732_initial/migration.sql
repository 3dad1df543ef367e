-- CreateEnum
CREATE TYPE "JobStatus" AS ENUM ('QUEUED', 'PREPARING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST');

-- CreateTable
CREATE TABLE "training_jobs" (
    "id" TEXT NOT NULL,
    "script_name" TEXT NOT NULL,
    "script" TEXT NOT NULL,
    "experiment_name" TEXT NOT NULL,
    "model_name" TEXT NOT NULL,
    "requirements" TEXT[],
    "environment_vars" JSONB NOT NULL,
    "timeout_seconds" INTEGER NOT NULL,
    "tags" JSONB NOT NULL,
    "status" "JobStatus" NOT NULL DEFAULT 'QUEUED',
    "error" TEXT,
    "run_id" TEXT,
    "model_version" TEXT,
    "environment_hash" TEXT,
    "cancel_requested_at" TIMESTAMPTZ(3),
    "cancel_reason" TEXT,
    "last_sequence" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "completed_at" TIMESTAMPTZ(3),

    CONSTRAINT "training_jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_attempts" (
    "id" BIGSERIAL NOT NULL,
    "job_id" TEXT NOT NULL,
    "number" INTEGER NOT NULL,
    "worker_id" TEXT NOT NULL,
    "lease_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "token_hash" TEXT,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ended_at" TIMESTAMPTZ(3),
    "exit_code" INTEGER,
    "signal" TEXT,

    CONSTRAINT "job_attempts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_events" (
    "job_id" TEXT NOT NULL,
    "first_sequence" INTEGER NOT NULL,
    "last_sequence" INTEGER NOT NULL,
    "events" JSONB NOT NULL,

    CONSTRAINT "job_events_pkey" PRIMARY KEY ("job_id","first_sequence")
);

-- CreateTable
CREATE TABLE "environments" (
    "hash" TEXT NOT NULL,
    "lock" TEXT NOT NULL,
    "python" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "environments_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "job_runs" (
    "id" BIGSERIAL NOT NULL,
    "job_id" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "experiment_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_runs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_saved_models" (
    "id" BIGSERIAL NOT NULL,
    "job_id" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "run_id" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_saved_models_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_model_versions" (
    "name" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "job_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_model_versions_pkey" PRIMARY KEY ("name","version")
);

-- CreateIndex
CREATE INDEX "training_jobs_status_created_at_idx" ON "training_jobs"("status", "created_at");

-- CreateIndex
CREATE INDEX "training_jobs_created_at_id_idx" ON "training_jobs"("created_at", "id");

-- CreateIndex
CREATE INDEX "training_jobs_model_name_model_version_idx" ON "training_jobs"("model_name", "model_version");

-- CreateIndex
CREATE UNIQUE INDEX "job_attempts_token_hash_key" ON "job_attempts"("token_hash");

-- CreateIndex
CREATE INDEX "job_attempts_ended_at_lease_expires_at_idx" ON "job_attempts"("ended_at", "lease_expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "job_attempts_job_id_number_key" ON "job_attempts"("job_id", "number");

-- CreateIndex
CREATE UNIQUE INDEX "job_runs_run_id_key" ON "job_runs"("run_id");

-- CreateIndex
CREATE INDEX "job_runs_job_id_id_idx" ON "job_runs"("job_id", "id");

-- CreateIndex
CREATE INDEX "job_saved_models_job_id_id_idx" ON "job_saved_models"("job_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "job_saved_models_job_id_source_key" ON "job_saved_models"("job_id", "source");

-- CreateIndex
CREATE INDEX "job_model_versions_job_id_created_at_idx" ON "job_model_versions"("job_id", "created_at");

-- AddForeignKey
ALTER TABLE "training_jobs" ADD CONSTRAINT "training_jobs_environment_hash_fkey" FOREIGN KEY ("environment_hash") REFERENCES "environments"("hash") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_attempts" ADD CONSTRAINT "job_attempts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "training_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_events" ADD CONSTRAINT "job_events_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "training_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_runs" ADD CONSTRAINT "job_runs_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "training_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_saved_models" ADD CONSTRAINT "job_saved_models_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "training_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_model_versions" ADD CONSTRAINT "job_model_versions_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "training_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Below: what Prisma's schema language cannot say.

-- A terminal status is written once. Whoever would change it (a worker that lost its lease, a late cancel) fails with
-- a check violation instead. The condition is in the trigger itself, so that other updates do not call the function.
CREATE FUNCTION "refuse_new_status_of_ended_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'job % has ended as % and cannot become %', OLD."id", OLD."status", NEW."status"
        USING ERRCODE = 'check_violation', CONSTRAINT = 'training_jobs_terminal_status', TABLE = 'training_jobs';
END
$$;

CREATE TRIGGER "training_jobs_terminal_status" BEFORE UPDATE OF "status" ON "training_jobs" FOR EACH ROW
    WHEN (OLD."status" IN ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST') AND NEW."status" <> OLD."status")
    EXECUTE FUNCTION "refuse_new_status_of_ended_job"();

-- A batch holds at least one event, and numbers start at 1.
ALTER TABLE "job_events" ADD CONSTRAINT "job_events_sequence_check"
    CHECK ("first_sequence" >= 1 AND "last_sequence" >= "first_sequence");

-- What a claim reads: the queue alone, oldest first, however many jobs have ended.
CREATE INDEX "training_jobs_queue_idx" ON "training_jobs"("created_at", "id") WHERE "status" = 'QUEUED';
