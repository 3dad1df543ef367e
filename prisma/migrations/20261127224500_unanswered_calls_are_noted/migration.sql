-- CreateTable
CREATE TABLE "job_call_notes" (
    "id" BIGSERIAL NOT NULL,
    "attempt_id" BIGINT NOT NULL,
    "digest" BYTEA NOT NULL,
    "mark" TEXT NOT NULL,
    "owner" TEXT NOT NULL,

    CONSTRAINT "job_call_notes_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "job_call_notes_attempt_id_digest_idx" ON "job_call_notes"("attempt_id", "digest");

-- AddForeignKey
ALTER TABLE "job_call_notes" ADD CONSTRAINT "job_call_notes_attempt_id_fkey" FOREIGN KEY ("attempt_id") REFERENCES "job_attempts"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- When an attempt has ended, its script's token is good no more: no call of it can be repeated.
CREATE FUNCTION "remove_call_notes_of_ended_attempt"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM "job_call_notes" WHERE "attempt_id" = NEW."id";
    RETURN NULL;
END
$$;

CREATE TRIGGER "job_attempts_call_notes" AFTER UPDATE OF "ended_at" ON "job_attempts" FOR EACH ROW
    WHEN (NEW."ended_at" IS NOT NULL AND OLD."ended_at" IS NULL)
    EXECUTE FUNCTION "remove_call_notes_of_ended_attempt"();
