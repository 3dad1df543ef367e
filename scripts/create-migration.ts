/**
 * Writes the next migration: what leads from `prisma/migrations` to `prisma/schema.prisma`.
 * `npx node scripts/create-migration.ts NAME`; NAME in lower case letters, digits and underscores.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { migrationList, readMigrations } from '../src/database/migrations-folder.ts';
import { loadSchemaEngine } from '../src/database/schema-engine.ts';
import { EmbeddedPostgres } from '../src/embedded/postgres.ts';

const EMPTY = '-- This is an empty migration.';
const folder = resolve(import.meta.dirname, '../prisma');
const migrationsFolder = join(folder, 'migrations');

async function difference(databaseUrl: string): Promise<string> {
  const schema = await readFile(join(folder, 'schema.prisma'), 'utf8');
  const migrations = await readMigrations(migrationsFolder);
  await using loaded = await loadSchemaEngine(databaseUrl, schema);
  const { stdout } = await loaded.engine.diff({
    from: { tag: 'migrations', ...(await migrationList(migrationsFolder, migrations)) },
    to: { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: schema }] },
    script: true,
    exitCode: null,
    filters: { externalTables: [], externalEnums: [] },
  });
  return stdout?.trim() ?? '';
}

const name = process.argv[2] ?? '';
if (!/^[a-z0-9_]+$/.test(name)) {
  process.stderr.write('usage: create-migration.ts NAME (lower case letters, digits, underscores)\n');
  process.exit(2);
}
await mkdir(migrationsFolder, { recursive: true });
await writeFile(join(migrationsFolder, 'migration_lock.toml'), 'provider = "postgresql"\n');
const temporary = await mkdtemp(join(tmpdir(), 'create-migration-'));
try {
  // The engine replays the existing migrations in a database that it makes and drops, so it needs a superuser.
  await using server = await EmbeddedPostgres.start({
    folder: join(temporary, 'postgres'),
    logFile: join(temporary, 'postgres.log'),
  });
  const sql = await difference(server.url('postgres'));
  if (sql === '' || sql === EMPTY) {
    process.stdout.write('the migrations lead to the schema already\n');
  } else {
    const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
    const target = join(migrationsFolder, `${timestamp}_${name}`);
    await mkdir(target);
    await writeFile(join(target, 'migration.sql'), `${sql}\n`);
    process.stdout.write(`${join(target, 'migration.sql')}\n`);
  }
} finally {
  await rm(temporary, { recursive: true, force: true });
}
