-- CreateEnum
CREATE TYPE "EnvironmentStatus" AS ENUM ('BUILDING', 'READY', 'FAILED', 'EVICTED');

-- CreateTable
CREATE TABLE "environment_copies" (
    "environment_hash" TEXT NOT NULL,
    "machine" TEXT NOT NULL,
    "place" TEXT NOT NULL,
    "status" "EnvironmentStatus" NOT NULL,
    "failure" TEXT,
    "build_seconds" DOUBLE PRECISION,
    "size_bytes" DOUBLE PRECISION,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "environment_copies_pkey" PRIMARY KEY ("environment_hash","machine","place")
);

-- CreateIndex
CREATE INDEX "environments_created_at_hash_idx" ON "environments"("created_at", "hash");

-- CreateIndex
CREATE INDEX "training_jobs_environment_hash_created_at_id_idx" ON "training_jobs"("environment_hash", "created_at", "id");

-- AddForeignKey
ALTER TABLE "environment_copies" ADD CONSTRAINT "environment_copies_environment_hash_fkey" FOREIGN KEY ("environment_hash") REFERENCES "environments"("hash") ON DELETE CASCADE ON UPDATE CASCADE;
