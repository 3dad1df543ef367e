-- CreateEnum
CREATE TYPE "ServableStatus" AS ENUM ('CHECKING', 'SERVABLE', 'REFUSED');

-- CreateEnum
CREATE TYPE "ExampleSource" AS ENUM ('INPUT_EXAMPLE', 'TRAINING_ROWS', 'SIGNATURE', 'FEATURE_NAMES');

-- CreateEnum
CREATE TYPE "ServingEngine" AS ENUM ('PYTHON', 'ONNX');

-- CreateEnum
CREATE TYPE "CompileStatus" AS ENUM ('PENDING', 'COMPILED', 'REFUSED');

-- CreateTable
CREATE TABLE "servable_versions" (
    "name" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "registered_at" TIMESTAMPTZ(3) NOT NULL,
    "job_id" TEXT,
    "status" "ServableStatus" NOT NULL,
    "refusal" TEXT,
    "traceback" TEXT,
    "example_source" "ExampleSource",
    "load_seconds" DOUBLE PRECISION,
    "p50_ms" DOUBLE PRECISION,
    "peak_memory_bytes" BIGINT,
    "signature" JSONB,
    "checked_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "engine" "ServingEngine" NOT NULL DEFAULT 'PYTHON',
    "compile_status" "CompileStatus" NOT NULL DEFAULT 'PENDING',
    "compile_refusal" TEXT,
    "proof" JSONB,
    "compiled_key" TEXT,

    CONSTRAINT "servable_versions_pkey" PRIMARY KEY ("name","version")
);
