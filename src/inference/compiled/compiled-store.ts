import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import type { PrismaClient } from '../../database/generated/client.ts';
import { type CompiledDescription, compiledDescription } from './description.ts';

/** Larger models stay in Python. */
export const MAX_FILE_BYTES = 128 * 2 ** 20;
const PART_BYTES = 4 * 2 ** 20;
const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

export interface CompiledFile {
  readonly file: Buffer;
  readonly description: CompiledDescription;
}

/** Keeps a compiled model in the database, where every platform finds it. Safe to repeat. @returns its key */
export async function storeCompiled(database: PrismaClient, { file, description }: CompiledFile): Promise<string> {
  const key = keyOf(file, description);
  const parts: { part: number; content: Uint8Array<ArrayBuffer> }[] = [];
  for (let part = 0; part * PART_BYTES < file.length; part += 1) {
    const content = await compress(file.subarray(part * PART_BYTES, (part + 1) * PART_BYTES));
    parts.push({ part, content: new Uint8Array(content) });
  }
  await database.$transaction([
    database.compiledModel.createMany({ data: [{ key, description }], skipDuplicates: true }),
    ...parts.map((part) => database.compiledModelPart.createMany({ data: [{ key, ...part }], skipDuplicates: true })),
  ]);
  return key;
}

/** What the database has under a key is not what was kept: reading it again gives nothing else. */
export class DamagedError extends Error {
  constructor(key: string, cause?: unknown) {
    super(`compiled model ${key} is damaged`, { cause });
    this.name = 'DamagedError';
  }
}

/** What was kept under a key; null when it is not there. @throws DamagedError; whatever the database does */
export async function loadCompiled(database: PrismaClient, key: string): Promise<CompiledFile | null> {
  const found = await database.compiledModel.findUnique({ where: { key } });
  if (found === null) return null;
  const damaged = (cause: unknown) => Promise.reject(new DamagedError(key, cause));
  const parts: Buffer[] = [];
  for (let part = 0; part * PART_BYTES < MAX_FILE_BYTES; part += 1) {
    const row = await database.compiledModelPart.findUnique({ where: { key_part: { key, part } } });
    if (row === null) break;
    parts.push(await decompress(row.content, { maxOutputLength: PART_BYTES }).catch(damaged));
  }
  const { data: description, error } = compiledDescription.safeParse(found.description);
  if (description === undefined) throw new DamagedError(key, error);
  const compiled = { file: Buffer.concat(parts), description };
  if (keyOf(compiled.file, compiled.description) !== key) throw new DamagedError(key);
  return compiled;
}

/** Removes compiled models of versions that are no more. */
export async function removeUnused(database: PrismaClient): Promise<void> {
  await database.$executeRaw`
    DELETE FROM compiled_models m
    WHERE NOT EXISTS (SELECT 1 FROM servable_versions v WHERE v.compiled_key = m.key OR v.lease_until > now())`;
}

/** The database keeps objects in an order of its own. */
function keyOf(file: Buffer, description: CompiledDescription): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(description)))
    .update(file)
    .digest('hex');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, item]) => [name, sorted(item)]));
}
