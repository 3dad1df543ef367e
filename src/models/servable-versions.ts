import { Prisma, type PrismaClient, type ServableVersion } from '../database/generated/client.ts';
import type { ExampleSource } from '../database/generated/enums.ts';
import type { TransactionClient } from '../database/generated/internal/prismaNamespace.ts';
import type { ModelVersion } from '../mlflow/wire.ts';
import { modelVersionKey } from './version-key.ts';

/** A statement takes 65,535 parameters. */
const KEYS_PER_QUERY = 1_000;
const MAX_REFUSAL = 1_000;
const MAX_TRACEBACK = 20_000;

/** Gets the name of each model of which a version was tried, once that is known. */
export const CHECKED_CHANNEL = 'asgard_version_checked';

/** What is known of a version of which nothing is. */
const UNKNOWN = {
  refusal: null,
  warning: null,
  traceback: null,
  exampleSource: null,
  loadSeconds: null,
  p50Ms: null,
  peakMemoryBytes: null,
  signature: Prisma.DbNull,
  engine: 'PYTHON',
  compileStatus: 'PENDING',
  compileRefusal: null,
  proof: Prisma.DbNull,
  compiledKey: null,
  leaseHolder: null,
  leaseUntil: null,
} as const;

/** A version of that name and number, made at that time: another one may come to have both. */
export type ServableKey = Pick<ModelVersion, 'name' | 'version' | 'createdAt'>;

/** What came of trying a version. */
export interface Check {
  /** Why it is not served, in one line; null: it is. */
  readonly refusal: string | null;
  /** Why it is served without having predicted anything, in one line. */
  readonly warning?: string | null;
  readonly traceback?: string | null;
  readonly exampleSource?: ExampleSource | null;
  readonly loadSeconds?: number | null;
  /** Milliseconds of one prediction. */
  readonly p50Ms?: number | null;
  readonly peakMemoryBytes?: number | null;
  /** `{inputs, outputs, params}` as MLflow writes them. */
  readonly signature?: Prisma.InputJsonValue | null;
}

/** What came of compiling a version. */
export type Compiled =
  | { readonly status: 'COMPILED'; readonly compiledKey: string; readonly proof: Prisma.InputJsonValue }
  | { readonly status: 'REFUSED'; readonly refusal: string; readonly proof?: Prisma.InputJsonValue };

/** Each version's record, in the order of `keys`; null where there is none of that very version. */
export async function servableVersions(
  database: PrismaClient,
  keys: readonly ServableKey[],
): Promise<(ServableVersion | null)[]> {
  const records: ServableVersion[] = [];
  for (let from = 0; from < keys.length; from += KEYS_PER_QUERY) {
    const some = keys.slice(from, from + KEYS_PER_QUERY);
    const OR = some.map(({ name, version, createdAt: registeredAt }) => ({ name, version, registeredAt }));
    records.push(...(await database.servableVersion.findMany({ where: { OR } })));
  }
  const found = new Map(records.map((record) => [modelVersionKey(record.name, record.version), record]));
  return keys.map(({ name, version, createdAt }) => {
    const record = found.get(modelVersionKey(name, version));
    return record?.registeredAt.getTime() === createdAt.getTime() ? record : null;
  });
}

/** The record of a version; null when it was never tried. */
export async function servableVersion(database: PrismaClient, key: ServableKey): Promise<ServableVersion | null> {
  const [record] = await servableVersions(database, [key]);
  return record ?? null;
}

/** Has nothing known of a version that could not be tried by whoever held it for that. */
export async function forgetCheck(database: PrismaClient, key: ServableKey, leaseHolder: string): Promise<void> {
  const { name, version, createdAt: registeredAt } = key;
  await database.servableVersion.deleteMany({
    where: { name, version, registeredAt, status: 'CHECKING', leaseHolder },
  });
}

/** Notes what came of trying a version, and has every platform know of it once the transaction is done. Safe to repeat. */
export async function recordCheck(
  database: TransactionClient,
  key: ServableKey,
  jobId: string | null,
  check: Check,
): Promise<void> {
  const { refusal, warning, traceback, signature, peakMemoryBytes, ...rest } = check;
  await write(database, key, {
    ...rest,
    jobId,
    status: refusal === null ? 'SERVABLE' : 'REFUSED',
    refusal: refusal && storable(refusal, MAX_REFUSAL),
    warning: warning ? storable(warning, MAX_REFUSAL) : null,
    // Its last lines say what was raised.
    traceback: traceback ? storable(traceback.slice(-MAX_TRACEBACK), MAX_TRACEBACK) : null,
    peakMemoryBytes: peakMemoryBytes == null ? null : BigInt(Math.round(peakMemoryBytes)),
    signature: signature ?? Prisma.DbNull,
  });
  await database.$executeRaw`SELECT pg_notify(${CHECKED_CHANNEL}, ${key.name})`;
}

/** Notes what came of compiling a version that is served. One that was tried anew meanwhile keeps what that found. */
export async function recordCompiled(database: PrismaClient, key: ServableKey, compiled: Compiled): Promise<void> {
  const { name, version, createdAt: registeredAt } = key;
  await database.servableVersion.updateMany({
    where: { name, version, registeredAt, status: 'SERVABLE' },
    data:
      compiled.status === 'COMPILED'
        ? {
            engine: 'ONNX',
            compileStatus: 'COMPILED',
            compileRefusal: null,
            compiledKey: compiled.compiledKey,
            proof: compiled.proof,
          }
        : {
            engine: 'PYTHON',
            compileStatus: 'REFUSED',
            compileRefusal: storable(compiled.refusal, MAX_REFUSAL),
            compiledKey: null,
            proof: compiled.proof ?? Prisma.DbNull,
          },
  });
}

/** One row for a name and number: the newest registration's. */
async function write(
  database: TransactionClient,
  { name, version, createdAt: registeredAt }: ServableKey,
  columns: Omit<Prisma.ServableVersionUncheckedCreateInput, 'name' | 'version' | 'registeredAt'>,
): Promise<void> {
  const data = { ...UNKNOWN, registeredAt, checkedAt: new Date(), ...columns };
  const where = { name, version, registeredAt: { lte: registeredAt } };
  const { count } = await database.servableVersion.updateMany({ where, data });
  if (count > 0) return;
  await database.servableVersion.createMany({ data: [{ name, version, ...data }], skipDuplicates: true });
}

function storable(text: string, maxLength: number): string {
  return text.replaceAll('\0', '').slice(0, maxLength);
}
