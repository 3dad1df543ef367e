-- AlterTable
ALTER TABLE "servable_versions" DROP COLUMN "compile_lease_until",
ADD COLUMN     "lease_holder" TEXT,
ADD COLUMN     "lease_until" TIMESTAMPTZ(3),
ADD COLUMN     "warning" TEXT;
