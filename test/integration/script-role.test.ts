import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { FeaturesDatabase } from '../../src/feast/database.ts';
import { type RoleHolder, ScriptRoles } from '../../src/feast/script-role.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { featureAccess } from '../../src/worker/feature-access.ts';
import { sweepRoles } from '../../src/worker/role-sweep.ts';
import { FeaturesForTests } from '../support/features-for-tests.ts';

const logger = createLogger('silent', false);
const IN_AN_HOUR = () => new Date(Date.now() + 3_600_000);

let features: FeaturesForTests;
let roles: ScriptRoles;

beforeAll(async () => {
  features = await FeaturesForTests.start();
  // Registry and catalog are made by who writes them.
  await features.bridge.request('store.status', {}, z.unknown());
  roles = new ScriptRoles(features.database, features.settings.databaseUrl);
});
afterAll(() => features?.[Symbol.asyncDispose]());

let count = 0;
function holder(): RoleHolder {
  count += 1;
  return { jobId: count.toString(16).padStart(16, '0'), attempt: 1 };
}

async function connect(url: string, database?: string): Promise<pg.Client> {
  const address = new URL(url);
  if (database !== undefined) address.pathname = `/${database}`;
  const client = new pg.Client({ connectionString: address.href, connectionTimeoutMillis: 60_000 });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function codeOf(action: Promise<unknown>): Promise<string | undefined> {
  const failure = await action.then(
    () => undefined,
    (error: unknown) => error,
  );
  return failure instanceof pg.DatabaseError ? failure.code : failure === undefined ? 'allowed' : String(failure);
}

describe("a script's role", () => {
  it('reads registry and catalog, and nothing else, and writes nowhere', async () => {
    await features.database.pool.query('CREATE TABLE feast_online.values (value text)');
    const client = await connect(await roles.make(holder(), IN_AN_HOUR()));
    await expect(client.query('SELECT count(*) FROM feast_registry.feature_views')).resolves.toBeDefined();
    await expect(client.query('SELECT count(*) FROM iceberg_catalog.iceberg_tables')).resolves.toBeDefined();
    const mine = new ScriptRoles(features.database, features.settings.databaseUrl);
    await mine.make(holder(), IN_AN_HOUR());

    // What is only a default the script may change: what it may do then is what counts.
    await client.query('SET default_transaction_read_only = off');
    const refused = [
      'SELECT * FROM feast_online.values',
      'SELECT rolpassword FROM pg_authid',
      "SELECT pg_read_file('/etc/passwd')",
      "COPY (SELECT 1) TO PROGRAM 'true'",
      'INSERT INTO iceberg_catalog.iceberg_tables (catalog_name) VALUES (1)',
      'UPDATE feast_registry.feature_views SET project_id = 1',
      'DELETE FROM feast_registry.feature_views',
      'TRUNCATE feast_registry.feature_views',
      'DO $$ BEGIN LOCK TABLE feast_registry.feature_views IN ROW EXCLUSIVE MODE; END $$',
      'CREATE TABLE feast_registry.own (x int)',
      'CREATE TABLE public.own (x int)',
      'CREATE TEMPORARY TABLE own (x int)',
      'CREATE SCHEMA own',
      'CREATE DATABASE own',
      'CREATE ROLE own',
      'SET ROLE features',
      `ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'`,
      'ALTER ROLE CURRENT_USER CONNECTION LIMIT 100',
      'SELECT lo_create(0)',
      "SELECT lo_from_bytea(0, 'x')",
      'SELECT pg_advisory_lock(1)',
      'SELECT pg_try_advisory_xact_lock(1)',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'features'`,
      'CREATE EXTENSION dblink',
    ];
    const answers: unknown[] = [];
    for (const sql of refused) answers.push(await codeOf(client.query(sql)));
    expect(answers).toEqual(refused.map(() => '42501'));
    const { rows } = await client.query('SELECT query FROM pg_stat_activity WHERE usename <> current_user');
    expect(new Set(rows.map((row) => row.query))).toEqual(new Set(['<insufficient privilege>']));
    await client.end();
  });

  it('enters no other database, not with many connections, and not when its time is over', async () => {
    const elsewhere = await roles.make(holder(), IN_AN_HOUR());
    const databases = ['asgard', 'mlflow', 'postgres', 'template1'];
    expect(await Promise.all(databases.map((name) => codeOf(connect(elsewhere, name))))).toEqual(
      databases.map(() => '42501'),
    );
    // One after the other, and of a role that has none that is just being refused: PostgreSQL counts those for a moment too.
    const url = await roles.make(holder(), IN_AN_HOUR());
    const clients: pg.Client[] = [];
    const codes: unknown[] = [];
    for (let count = 0; count < 15; count += 1)
      codes.push(await codeOf(connect(url).then((client) => void clients.push(client))));
    expect(codes).toEqual([...Array(10).fill('allowed'), ...Array(5).fill('53300')]);
    for (const client of clients) await client.end();
    expect(await codeOf(connect(await roles.make(holder(), new Date(Date.now() - 1000))))).toBe('28P01');
  });

  it('is replaced when its attempt is begun again, and ends with its connections', async () => {
    const mine = holder();
    const before = await roles.make(mine, IN_AN_HOUR());
    const client = await connect(await roles.make(mine, IN_AN_HOUR()));
    expect(await codeOf(connect(before))).toBe('28P01');
    const ended = new Promise((resolve) => client.once('end', resolve));
    await roles.drop(mine);
    await ended;
    expect((await roles.list()).filter(({ jobId }) => jobId === mine.jobId)).toEqual([]);
    await roles.drop(mine);
  });
});

describe('what is left of roles', () => {
  it('is swept when their attempts are over, or their time is and nobody here knows them', async () => {
    await using test = await features.databases.create();
    const database = test.client;
    const [running, over, foreign, gone] = [holder(), holder(), holder(), holder()];
    for (const { jobId } of [running, over]) {
      const names = { scriptName: 's.py', script: '', experimentName: 'e', modelName: 'm' };
      const attempts = {
        create: {
          number: 1,
          workerId: 'w',
          leaseExpiresAt: new Date(),
          ...(jobId === over.jobId && { endedAt: new Date() }),
        },
      };
      const rest = { environmentVars: {}, timeoutSeconds: 60, tags: {}, attempts };
      await database.trainingJob.create({ data: { id: jobId, ...names, ...rest } });
    }
    for (const each of [running, over, foreign]) await roles.make(each, IN_AN_HOUR());
    await roles.make(gone, new Date(Date.now() - 1000));
    await sweepRoles({ database, roles, logger });
    const left = (await roles.list()).map(({ jobId }) => jobId);
    expect(left).toEqual(expect.arrayContaining([running.jobId, foreign.jobId]));
    expect(left).not.toContain(over.jobId);
    expect(left).not.toContain(gone.jobId);
    // Those of the other tests too.
    for (const role of await roles.list()) await roles.drop(role);
  });
});

it('a platform that may not make roles says so in the log, and the job goes on', async () => {
  await features.database.pool.query(
    "CREATE ROLE plain LOGIN PASSWORD 'plain'; GRANT CONNECT ON DATABASE features TO plain",
  );
  const url = new URL(features.settings.databaseUrl);
  url.username = 'plain';
  url.password = 'plain';
  await using database = new FeaturesDatabase(url.href);
  const settings = { ...features.settings, databaseUrl: url.href };
  const store = { settings, database, roles: new ScriptRoles(database, url.href) };
  const said: string[] = [];
  const say = async (text: string) => void said.push(text);
  expect(await featureAccess(store, { holder: holder(), seconds: 60, say })).toBeUndefined();
  expect(said).toEqual([
    'The script has no access to the feature store, and its calls of feast will fail: the database role plain may not make one ' +
      'that reads features: ALTER ROLE "plain" CREATEROLE, or FEATURES_DATABASE_URL',
  ]);
});
