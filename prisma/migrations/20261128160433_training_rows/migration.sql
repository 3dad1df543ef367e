-- CreateTable
CREATE TABLE "job_training_rows" (
    "attempt_id" BIGINT NOT NULL,
    "number" INTEGER NOT NULL,
    "run_id" TEXT,
    "content" BYTEA NOT NULL,
    "digest" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_training_rows_pkey" PRIMARY KEY ("attempt_id","number")
);

-- CreateIndex
CREATE UNIQUE INDEX "job_training_rows_attempt_id_digest_key" ON "job_training_rows"("attempt_id", "digest");

-- AddForeignKey
ALTER TABLE "job_training_rows" ADD CONSTRAINT "job_training_rows_attempt_id_fkey" FOREIGN KEY ("attempt_id") REFERENCES "job_attempts"("id") ON DELETE CASCADE ON UPDATE CASCADE;
