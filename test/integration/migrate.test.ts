import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../../src/database/client.ts';
import { migrate } from '../../src/database/migrate.ts';
import { EmbeddedPostgres } from '../../src/embedded/postgres.ts';

const PRISMA_FOLDER = resolve(import.meta.dirname, '../../prisma');

let home: string;
let postgres: EmbeddedPostgres;
let url: string;
let count = 0;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'asgard-migrate-'));
  postgres = await EmbeddedPostgres.start({ folder: join(home, 'postgres'), logFile: join(home, 'postgres.log') });
});
afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});
beforeEach(async () => {
  count += 1;
  await query(postgres.url('postgres'), `CREATE DATABASE test_${count}`);
  url = postgres.url(`test_${count}`);
});

async function query<T extends pg.QueryResultRow>(database: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** The project's schema and migrations, and one more. */
async function withMigration(name: string, sql: string): Promise<string> {
  const folder = join(home, `prisma-${count}`);
  await cp(PRISMA_FOLDER, folder, { recursive: true });
  await mkdir(join(folder, 'migrations', name), { recursive: true });
  await writeFile(join(folder, 'migrations', name, 'migration.sql'), sql);
  return folder;
}

test('an empty database gets every migration, and a second call finds nothing to do', async () => {
  const folders = (await readdir(join(PRISMA_FOLDER, 'migrations'))).filter((name) => name !== 'migration_lock.toml');
  expect(await migrate(url)).toEqual(folders.sort());
  expect(await migrate(url)).toEqual([]);
});

test('the migrated database serves the Prisma client', async () => {
  await migrate(url);
  await using database = createDatabase(url, { poolSize: 2 });
  expect(await database.client.trainingJob.count()).toBe(0);
});

test('replicas that start at once migrate once', async () => {
  const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(url)));
  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
  expect(await query(url, 'SELECT migration_name FROM _prisma_migrations')).toHaveLength(applied.flat().length);
});

test('a migration that fails is named with its reason, changes nothing, and must be released for another try', async () => {
  const name = '29990101000000_broken';
  const folder = await withMigration(name, 'CREATE TABLE half (id int); SELECT no_such_function();');
  await expect(migrate(url, folder)).rejects.toThrow(/29990101000000_broken[\s\S]*no_such_function/);
  expect(await query(url, `SELECT to_regclass('half') AS found`)).toEqual([{ found: null }]);
  await expect(migrate(url, folder)).rejects.toThrow(`the migration ${name} failed before`);

  await writeFile(join(folder, 'migrations', name, 'migration.sql'), 'CREATE TABLE half (id int);');
  await query(url, `UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = '${name}'`);
  expect(await migrate(url, folder)).toEqual([name]);
});

test('a migration that was altered after it had been applied is refused', async () => {
  const name = '29990101000000_altered';
  const folder = await withMigration(name, 'CREATE TABLE a (id int);');
  await migrate(url, folder);
  await writeFile(join(folder, 'migrations', name, 'migration.sql'), 'CREATE TABLE b (id int);');
  await expect(migrate(url, folder)).rejects.toThrow(`the migration ${name} was altered`);
});

test('the migrations of a newer Asgard are left alone', async () => {
  const folder = await withMigration('29990101000000_newer', 'CREATE TABLE newer (id int);');
  await migrate(url, folder);
  expect(await migrate(url)).toEqual([]);
});

const JOB = `INSERT INTO training_jobs (id, script_name, script, experiment_name, model_name, environment_vars, timeout_seconds, tags)
  VALUES ('job', 's', 's', 'e', 'm', '{}', 300, '{}')`;

test.for(['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'LOST'])(
  'a job that has ended as %s keeps that status, and its other columns can change',
  async (status) => {
    await migrate(url);
    await query(url, JOB);
    await query(url, `UPDATE training_jobs SET status = 'RUNNING'`);
    await query(url, `UPDATE training_jobs SET status = '${status}'`);
    const other = status === 'FAILED' ? 'COMPLETED' : 'FAILED';
    await expect(query(url, `UPDATE training_jobs SET status = '${other}'`)).rejects.toMatchObject({
      code: '23514',
      constraint: 'training_jobs_terminal_status',
    });
    await query(url, `UPDATE training_jobs SET status = '${status}', run_id = 'r'`);
    expect(await query(url, 'SELECT status, run_id FROM training_jobs')).toEqual([{ status, run_id: 'r' }]);
  },
);

test.for([
  [0, 1],
  [2, 1],
])('a batch of events numbered from %d to %d is refused', async ([first, last]) => {
  await migrate(url);
  await query(url, JOB);
  const insert = `INSERT INTO job_events (job_id, first_sequence, last_sequence, events) VALUES ('job', ${first}, ${last}, '[]')`;
  await expect(query(url, insert)).rejects.toMatchObject({ code: '23514' });
});
