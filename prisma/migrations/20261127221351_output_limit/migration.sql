-- AlterTable
ALTER TABLE "job_attempts" ADD COLUMN     "kept_bytes" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "kept_lines" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "omitted_first" INTEGER,
ADD COLUMN     "omitted_last" INTEGER,
ADD COLUMN     "output_bytes" BIGINT NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "job_events" ADD COLUMN     "attempt_id" BIGINT,
ADD COLUMN     "output_bytes" INTEGER NOT NULL DEFAULT 0;

-- What scripts that still run have printed so far counts too.
UPDATE "job_events" SET "attempt_id" = "job_attempts"."id",
  "output_bytes" = (SELECT sum(octet_length("event"->>'text') + 1) FROM jsonb_array_elements("events") AS "event")
FROM "job_attempts" WHERE "job_attempts"."job_id" = "job_events"."job_id" AND "ended_at" IS NULL
  AND "events"->0->>'stream' IN ('stdout', 'stderr');
UPDATE "job_attempts" SET "kept_lines" = "frames_stored", "output_bytes" = "stored"."bytes", "kept_bytes" = "stored"."bytes"
FROM (SELECT "attempt_id", sum("output_bytes") AS "bytes" FROM "job_events" GROUP BY "attempt_id") AS "stored"
WHERE "stored"."attempt_id" = "job_attempts"."id";
