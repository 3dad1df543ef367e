-- CreateEnum
CREATE TYPE "MaterializationStatus" AS ENUM ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED');

-- CreateEnum
CREATE TYPE "MaterializationTrigger" AS ENUM ('REQUEST', 'SCHEDULE');

-- CreateEnum
CREATE TYPE "MaterializationMode" AS ENUM ('UNCHANGED', 'INCREMENTAL', 'FULL');

-- CreateTable
CREATE TABLE "materializations" (
    "id" TEXT NOT NULL,
    "feature_view" TEXT NOT NULL,
    "status" "MaterializationStatus" NOT NULL DEFAULT 'QUEUED',
    "trigger" "MaterializationTrigger" NOT NULL,
    "platform" TEXT NOT NULL,
    "lease_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "mode" "MaterializationMode",
    "rows_read" BIGINT NOT NULL DEFAULT 0,
    "rows_skipped" BIGINT NOT NULL DEFAULT 0,
    "values_written" BIGINT NOT NULL DEFAULT 0,
    "entities_deleted" BIGINT NOT NULL DEFAULT 0,
    "entities" BIGINT NOT NULL DEFAULT 0,
    "snapshot_id" TEXT,
    "error" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "completed_at" TIMESTAMPTZ(3),

    CONSTRAINT "materializations_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "materializations_feature_view_created_at_id_idx" ON "materializations"("feature_view", "created_at", "id");

-- CreateIndex
CREATE INDEX "materializations_created_at_id_idx" ON "materializations"("created_at", "id");

-- CreateIndex
CREATE INDEX "materializations_status_lease_expires_at_idx" ON "materializations"("status", "lease_expires_at");
