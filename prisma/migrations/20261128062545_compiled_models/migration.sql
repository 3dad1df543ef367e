-- AlterTable
ALTER TABLE "servable_versions" ADD COLUMN     "compile_lease_until" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "compiled_models" (
    "key" TEXT NOT NULL,
    "description" JSONB NOT NULL,

    CONSTRAINT "compiled_models_pkey" PRIMARY KEY ("key")
);

-- CreateTable
CREATE TABLE "compiled_model_parts" (
    "key" TEXT NOT NULL,
    "part" INTEGER NOT NULL,
    "content" BYTEA NOT NULL,

    CONSTRAINT "compiled_model_parts_pkey" PRIMARY KEY ("key","part")
);

-- AddForeignKey
ALTER TABLE "compiled_model_parts" ADD CONSTRAINT "compiled_model_parts_key_fkey" FOREIGN KEY ("key") REFERENCES "compiled_models"("key") ON DELETE CASCADE ON UPDATE CASCADE;
